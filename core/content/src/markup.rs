//! HTML as a document: elements in one another, attributes by name, text as it is read.
//!
//! In: text. Out: a list of nodes: `{"tag", "attributes", "children"}` for an element, a string for text, `{"doctype"}`. Tokens are
//! those of the WHATWG standard (`html5gum`); which element ends where is told by end tags, by elements that have none, and for the
//! few kinds whose end tag is commonly left out by the next one. Comments say nothing to who reads; white space where nobody
//! sees it says nothing either.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use crate::json::Value;

/// Elements that may stand in one another. A choice: each is two levels of a document, which may have 128.
const DEPTH_MAX: usize = 60;

/// Elements without content, and so without end tag (WHATWG HTML, section 13.1.2).
const VOID: [&str; 14] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];

/// Elements that stand on lines of their own, so that white space beside them is not seen (WHATWG HTML, section 15.3); beside
/// all others, those that nobody knows too, it is.
const BLOCKS: [&str; 62] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "col",
    "colgroup",
    "datalist",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "li",
    "listing",
    "main",
    "menu",
    "nav",
    "noembed",
    "noframes",
    "ol",
    "optgroup",
    "option",
    "p",
    "plaintext",
    "pre",
    "search",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
    "xmp",
];

/// Elements that take no place where they stand (section 15.3.1): what is before and behind them stands side by side.
const UNSEEN: [&str; 14] = [
    "area", "base", "datalist", "dialog", "link", "meta", "noembed", "noframes", "param", "rp", "script", "style",
    "template", "title",
];

/// Elements in which all text counts as it is written.
const AS_WRITTEN: [&str; 7] = ["listing", "plaintext", "pre", "script", "style", "textarea", "xmp"];

/// Elements in a drawing or a formula that have text: in all others white space is between parts and draws nothing.
const LABELS: [&str; 13] = [
    "a",
    "annotation",
    "annotation-xml",
    "desc",
    "foreignobject",
    "mi",
    "mn",
    "mo",
    "ms",
    "mtext",
    "text",
    "textpath",
    "title",
];

/// Properties of a style by which an element that stands on lines of its own may come to stand in one, or to take no place.
const PLACING: [&str; 3] = ["display", "float", "position"];

/// Values of `white-space` and `white-space-collapse` by which white space is not kept, as far as they stand alone.
const NOT_KEEPING: [&str; 9] =
    ["collapse", "inherit", "initial", "normal", "nowrap", "revert", "revert-layer", "unset", "wrap"];

/// Which element ends where one of the same row begins, as far as one of these surrounds it, which stops the search.
const ENDED_BY_NEXT: [(&[&str], &[&str]); 5] = [
    (&["li"], &["ul", "ol", "menu"]),
    (&["dt", "dd"], &["dl"]),
    (&["tr"], &["table", "thead", "tbody", "tfoot"]),
    (&["td", "th"], &["tr", "table"]),
    (&["option"], &["select", "optgroup", "datalist"]),
];

struct Open {
    tag: String,
    attributes: Vec<(String, Value)>,
    children: Vec<Value>,
    /// True where white space in it counts as it is written, since it is in something that keeps it.
    keeps_space: bool,
    /// True for a part of a drawing or a formula that has no text of its own.
    is_drawn: bool,
}

/// The document; `None` where it has no element, elements more than 60 deep in one another, or more than `nodes_max` nodes
/// and attributes.
pub fn document(text: &str, nodes_max: usize) -> Option<Value> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut builder = Builder { open: Vec::new(), nodes: Vec::new(), has_element: false };
    let mut nodes_left = nodes_max;
    for token in Tokenizer::new_with_emitter(text, emitter) {
        let Ok(token) = token;
        let nodes = if let Token::StartTag(tag) = &token { 1 + tag.attributes.len() } else { 1 };
        nodes_left = nodes_left.checked_sub(nodes)?;
        builder.take(token)?;
    }
    while !builder.open.is_empty() {
        builder.close();
    }
    let nodes = readable(builder.nodes, false);
    builder.has_element.then_some(Value::Array(nodes))
}

struct Builder {
    open: Vec<Open>,
    nodes: Vec<Value>,
    has_element: bool,
}

impl Builder {
    fn take(&mut self, token: Token) -> Option<()> {
        match token {
            Token::StartTag(tag) => self.begin(&tag)?,
            Token::EndTag(tag) => {
                let name = text_of(&tag.name);
                if let Some(at) = self.open.iter().rposition(|open| open.tag == name) {
                    while self.open.len() > at {
                        self.close();
                    }
                }
            }
            Token::String(text) => self.add_text(&text_of(&text)),
            Token::Doctype(doctype) => {
                self.nodes_here().push(object([("doctype", Value::String(text_of(&doctype.name)))]));
            }
            Token::Comment(_) | Token::Error(_) => {}
        }
        Some(())
    }

    fn begin(&mut self, tag: &StartTag<()>) -> Option<()> {
        let name = text_of(&tag.name);
        self.end_what_ends_before(&name);
        if self.open.len() == DEPTH_MAX {
            return None;
        }
        self.has_element = true;
        let attribute = |(name, value): (&html5gum::HtmlString, &html5gum::Spanned<html5gum::HtmlString, ()>)| {
            (text_of(name), Value::String(text_of(value)))
        };
        let is_foreign = self.open.iter().any(|open| open.tag == "svg" || open.tag == "math");
        let is_empty = VOID.contains(&name.as_str()) || (tag.self_closing && is_foreign);
        let attributes = tag.attributes.iter().map(attribute).collect();
        self.open.push(Open::of(name, attributes, self.open.last()));
        if is_empty {
            self.close();
        }
        Some(())
    }

    /// Ends an element that is over where one of this name begins.
    fn end_what_ends_before(&mut self, name: &str) {
        let rows = ENDED_BY_NEXT.iter().filter(|(row, _)| row.contains(&name));
        let mut ended = None;
        for (row, around) in rows {
            let inner = self.open.iter().rposition(|open| around.contains(&open.tag.as_str())).map_or(0, |at| at + 1);
            ended = self.open[inner..].iter().position(|open| row.contains(&open.tag.as_str())).map(|at| inner + at);
        }
        // A paragraph has only what stands in a line.
        if self.open.last().is_some_and(|open| open.tag == "p") && BLOCKS.contains(&name) {
            ended = ended.or(Some(self.open.len() - 1));
        }
        while ended.is_some_and(|at| self.open.len() > at) {
            self.close();
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let stands_in_line = stands_in_line(&open.tag, style_of(&open.attributes));
        let Open { tag, attributes, children, keeps_space, is_drawn } = open;
        let children = match (keeps_space, is_drawn) {
            (true, _) => children,
            (false, true) => drawn(children),
            (false, false) => readable(children, stands_in_line),
        };
        let mut members = vec![("tag".to_owned(), Value::String(tag))];
        if !attributes.is_empty() {
            members.push(("attributes".to_owned(), Value::Object(attributes)));
        }
        if !children.is_empty() {
            members.push(("children".to_owned(), Value::Array(children)));
        }
        self.nodes_here().push(Value::Object(members));
    }

    fn add_text(&mut self, more: &str) {
        match self.nodes_here().last_mut() {
            Some(Value::String(text)) => text.push_str(more),
            _ => self.nodes_here().push(Value::String(more.to_owned())),
        }
    }

    fn nodes_here(&mut self) -> &mut Vec<Value> {
        match self.open.last_mut() {
            Some(open) => &mut open.children,
            None => &mut self.nodes,
        }
    }
}

impl Open {
    fn of(tag: String, attributes: Vec<(String, Value)>, parent: Option<&Self>) -> Self {
        let is_within = |flag: fn(&Self) -> bool| parent.is_some_and(flag);
        let keeps_space =
            AS_WRITTEN.contains(&tag.as_str()) || is_kept_by(&attributes) || is_within(|parent| parent.keeps_space);
        let is_drawn = match tag.as_str() {
            "svg" | "math" => true,
            label if LABELS.contains(&label) => false,
            _ => is_within(|parent| parent.is_drawn),
        };
        Self { tag, attributes, children: Vec::new(), keeps_space, is_drawn }
    }
}

/// True for an element that says itself that its white space is kept.
fn is_kept_by(attributes: &[(String, Value)]) -> bool {
    let is_preserved = |(name, value): &(String, Value)| name == "xml:space" && value.as_str() == Some("preserve");
    let is_not_keeping = |word: &str| NOT_KEEPING.iter().any(|known| known.eq_ignore_ascii_case(word));
    let is_keeping = |(name, value): (&str, &str)| {
        let value = value.split('!').next().unwrap_or_default();
        names_property(name, "white-space") && !value.split_ascii_whitespace().all(is_not_keeping)
    };
    let style = style_of(attributes).unwrap_or_default();
    attributes.iter().any(is_preserved) || declarations(style).any(is_keeping)
}

fn style_of(attributes: &[(String, Value)]) -> Option<&str> {
    attributes.iter().find(|(name, _)| name == "style").and_then(|(_, style)| style.as_str())
}

/// What a style sets: names of properties with their values.
fn declarations(style: &str) -> impl Iterator<Item = (&str, &str)> {
    style.split(';').filter_map(|declaration| declaration.split_once(':'))
}

/// True where this name is of the property or of one that goes with it, whatever comments stand around it.
fn names_property(name: &str, property: &str) -> bool {
    name.to_ascii_lowercase().contains(property)
}

/// True for an element beside which white space may be seen: one of a style that places it is taken for one of them, since
/// what is seen must not be hidden.
fn stands_in_line(tag: &str, style: Option<&str>) -> bool {
    let is_placed = |(name, _): (&str, &str)| PLACING.iter().any(|property| names_property(name, property));
    !BLOCKS.contains(&tag) || declarations(style.unwrap_or_default()).any(is_placed)
}

/// What stands beside a text.
#[derive(Clone, Copy)]
struct Beside {
    /// Something in the same line.
    is_line: bool,
    /// Between them there is white space already, which is seen where any is.
    has_space: bool,
}

impl Beside {
    /// What stands beside the next node, where this one is between.
    fn past(self, node: &Value) -> Self {
        let tag = node.get("tag").and_then(Value::as_str);
        match (node, tag) {
            (Value::String(text), _) if is_blank(text) => {
                Self { has_space: self.has_space || !text.is_empty(), ..self }
            }
            (Value::String(text), _) => Self { is_line: true, has_space: text.ends_with(is_space) },
            (_, Some(tag)) if UNSEEN.contains(&tag) => self,
            (node, Some(tag)) => {
                let style =
                    node.get("attributes").and_then(|attributes| attributes.get("style")).and_then(Value::as_str);
                Self { is_line: stands_in_line(tag, style), has_space: false }
            }
            (_, None) => Self { is_line: false, has_space: false },
        }
    }

    /// Of each node what stands beside it, where the nodes come from that side.
    fn each<'n>(nodes: impl Iterator<Item = &'n Value>, edge: bool) -> Vec<Self> {
        let edge = Self { is_line: edge, has_space: false };
        let next = |beside: &mut Self, node: &Value| {
            let here = *beside;
            *beside = beside.past(node);
            Some(here)
        };
        nodes.scan(edge, next).collect()
    }
}

/// White space as HTML has it.
fn is_space(character: char) -> bool {
    character.is_ascii_whitespace()
}

fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// Nodes with white space as it is seen: one space for several, none at the edge of what stands on lines of its own. Whether the
/// element that they are in stands in a line decides at their own edges.
fn readable(nodes: Vec<Value>, stands_in_line: bool) -> Vec<Value> {
    let before = Beside::each(nodes.iter(), stands_in_line);
    let mut behind = Beside::each(nodes.iter().rev(), stands_in_line);
    behind.reverse();
    let shown = |(node, (before, behind)): (Value, (Beside, Beside))| match node {
        Value::String(text) => as_seen(&text, before, behind).map(Value::String),
        element => Some(element),
    };
    nodes.into_iter().zip(before.into_iter().zip(behind)).filter_map(shown).collect()
}

/// A text as it is seen; `None` where nothing is.
fn as_seen(text: &str, before: Beside, behind: Beside) -> Option<String> {
    let mut one_spaced = String::with_capacity(text.len());
    for piece in text.split_inclusive(is_space) {
        let word = piece.trim_end_matches(is_space);
        one_spaced.push_str(word);
        if word.len() < piece.len() && !one_spaced.ends_with(' ') {
            one_spaced.push(' ');
        }
    }
    let mut shown = one_spaced.as_str();
    if !before.is_line || before.has_space {
        shown = shown.strip_prefix(' ').unwrap_or(shown);
    }
    if !behind.is_line {
        shown = shown.strip_suffix(' ').unwrap_or(shown);
    }
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// Parts of a drawing or a formula: white space between them draws nothing.
fn drawn(nodes: Vec<Value>) -> Vec<Value> {
    let is_part = |node: &Value| !matches!(node, Value::String(text) if is_blank(text));
    nodes.into_iter().filter(is_part).collect()
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// What was read is text, and so is each token.
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        document(text, 1_000).map(|value| value.to_compact_text()).unwrap_or_default()
    }

    #[test]
    fn elements_stand_in_one_another_with_attributes_and_text() {
        assert_eq!(
            shown("<!DOCTYPE html><p CLASS='a' id=b>Hi &amp; <b>you</b><br>there"),
            r#"[{"doctype":"html"},{"tag":"p","attributes":{"class":"a","id":"b"},"children":["Hi & ",{"tag":"b","children":["you"]},{"tag":"br"},"there"]}]"#
        );
        assert_eq!(
            shown("<script>if (a < b) { c('</p>') }</script><svg><path/><path/></svg>"),
            r#"[{"tag":"script","children":["if (a < b) { c('</p>') }"]},{"tag":"svg","children":[{"tag":"path"},{"tag":"path"}]}]"#
        );
    }

    #[test]
    fn how_a_document_is_laid_out_and_commented_does_not_matter_and_a_space_that_is_seen_does() {
        let one = "<ul><li>one<li>two</ul><p>a <b>b</b> c</p>";
        let other = "<ul>\n  <li>one</li>\n  <!-- x --><li>two</li>\n</ul>\n<p>\n  a\n  <b>b</b>\n c\n</p>\n";
        assert_eq!(shown(one), shown(other));
        assert_ne!(shown("<p><i>a</i> <i>b</i></p>"), shown("<p><i>a</i><i>b</i></p>"));
        assert_ne!(shown("<p>a<b> b</b></p>"), shown("<p>a<b>b</b></p>"));
        assert_ne!(shown("<pre>a  b</pre>"), shown("<pre>a b</pre>"));
    }

    #[test]
    fn lines_and_indents_of_code_count_however_deep_in_what_keeps_them_it_stands() {
        let code = |text: &str| format!("<pre><code><span class=k>if</span> x:{text}</code></pre>");
        assert_ne!(shown(&code("\n    y()\nz()")), shown(&code("\n    y()\n    z()")));
        assert_ne!(shown(&code("\ny()")), shown(&code(" y()")));
        for tag in ["textarea", "listing", "xmp", "plaintext"] {
            assert_ne!(shown(&format!("<{tag}><b>a  b</b></{tag}>")), shown(&format!("<{tag}><b>a b</b></{tag}>")));
        }
        assert_ne!(shown("<svg><text xml:space=preserve>a  b"), shown("<svg><text xml:space=preserve>a b"));
    }

    #[test]
    fn white_space_counts_where_a_style_keeps_it_and_not_where_one_says_that_it_does_not() {
        for kept in ["white-space:pre", "color:red; White-Space : pre-wrap !important", "white-space:break-spaces"] {
            let of = |text: &str| shown(&format!("<div style=\"{kept}\"><p>{text}</p></div>"));
            assert_ne!(of("a  b"), of("a b"), "{kept}");
        }
        for collapsed in ["white-space: nowrap", "white-space:normal!important", "color: red"] {
            let of = |text: &str| shown(&format!("<p style=\"{collapsed}\">{text}</p>"));
            assert_eq!(of("a  b"), of("a b"), "{collapsed}");
        }
    }

    #[test]
    fn a_space_beside_any_element_that_is_not_known_to_stand_alone_is_seen() {
        for tag in ["x-a", "audio", "canvas", "iframe", "object", "picture", "slot", "acronym", "nobr", "blink"] {
            let of = |space: &str| shown(&format!("<p><{tag}>a</{tag}>{space}<{tag}>b</{tag}></p>"));
            assert_ne!(of(" "), of(""), "{tag}");
            assert_eq!(of(" "), of("\n  "), "{tag}");
        }
        assert_ne!(shown("<p><x-a>a</x-a><embed> b</p>"), shown("<p><x-a>a</x-a><embed>b</p>"));
        let inline = |space: &str| {
            let item = "<div style=\"display: inline\">x</div>";
            shown(&format!("<main>{item}{space}{item}</main>"))
        };
        assert_ne!(inline(" "), inline(""));
    }

    #[test]
    fn a_space_between_words_is_seen_though_something_that_takes_no_place_stands_between_them() {
        for between in ["<script>f()</script>", "<style>b{}</style>", "<template><p>t</p></template>", "<link href=x>"]
        {
            let with_space = shown(&format!("<p>a {between}b</p>"));
            assert_ne!(with_space, shown(&format!("<p>a{between}b</p>")), "{between}");
            assert_eq!(
                with_space,
                shown(&format!("<p>a {between} {between}b</p>")).replacen(&shown_part(between), "", 1)
            );
            let alone =
                |space: &str| shown(&format!("<div>a</div>{space}{between}{space}<div>b</div>{space}{between}"));
            assert_eq!(alone(""), alone("\n  "), "{between}");
        }
    }

    /// An element as it stands behind another in a list.
    fn shown_part(element: &str) -> String {
        format!("{},", shown(element).trim_matches(['[', ']']))
    }

    #[test]
    fn how_a_drawing_or_a_formula_is_laid_out_does_not_matter_and_a_space_in_its_text_does() {
        let drawing = |space: &str| shown(&format!("a<svg>{space}<g>{space}<path d=1/>{space}</g>{space}</svg>"));
        assert_eq!(drawing(""), drawing("\n  "));
        assert_eq!(shown("<math><mi>x</mi><mo>=</mo></math>"), shown("<math>\n<mi>x</mi>\n<mo>=</mo>\n</math>"));
        let text = |space: &str| shown(&format!("<svg><text>a{space}<tspan>b</tspan></text></svg>"));
        assert_ne!(text(" "), text(""));
    }

    #[test]
    fn end_tags_that_are_commonly_left_out_are_put_in_and_nested_lists_stay_nested() {
        assert_eq!(
            shown("<table><tr><td>1<td>2<tr><th>3</table>"),
            shown("<table><tr><td>1</td><td>2</td></tr><tr><th>3</th></tr></table>")
        );
        assert_eq!(
            shown("<ul><li>a<ul><li>b</ul><li>c</ul>"),
            shown("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>")
        );
        assert_eq!(shown("<p>a<p>b"), shown("<p>a</p><p>b</p>"));
    }

    #[test]
    fn what_is_too_deep_or_too_much_is_none_and_read_at_once() {
        assert_eq!(document(&"<div>".repeat(1_000_000), usize::MAX), None);
        assert_eq!(document(&"<br>".repeat(1_001), 1_000), None);
        let attributes: String = (0..300_000).map(|at| format!(" a{at}")).collect();
        assert!(document(&format!("<p{attributes}>"), usize::MAX).is_some());
        assert!(document(&"<p>x</b>".repeat(300_000), usize::MAX).is_some());
        assert!(document(&"<i>x</i> <link> ".repeat(300_000), usize::MAX).is_some());
        assert_eq!(document("no markup", 10), None);
    }

    proptest! {
        #[test]
        fn anything_at_all_is_read_without_panic(text in "(<|>|/|p|b|svg|li|table|td| |\n|=|'|\"|&lt;|é|<!--|-->|script|pre){0,40}") {
            if let Some(value) = document(&text, 1_000) {
                prop_assert!(crate::json::parse(value.to_compact_text().as_bytes()).is_ok());
            }
        }
    }
}
