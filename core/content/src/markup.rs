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

/// Elements among which white space is seen (phrasing content, as far as it is shown in a line).
const INLINE: [&str; 45] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "br", "button", "cite", "code", "data", "del", "dfn", "em", "font", "i",
    "img", "input", "ins", "kbd", "label", "mark", "math", "meter", "output", "progress", "q", "ruby", "s", "samp",
    "select", "small", "span", "strike", "strong", "sub", "sup", "svg", "textarea", "time", "tt", "u", "var", "video",
    "wbr",
];

/// Elements whose text counts as it is written.
const AS_WRITTEN: [&str; 4] = ["pre", "script", "style", "textarea"];

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
    let nodes = readable(builder.nodes, "");
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
        self.open.push(Open {
            tag: name,
            attributes: tag.attributes.iter().map(attribute).collect(),
            children: Vec::new(),
        });
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
        if self.open.last().is_some_and(|open| open.tag == "p") && !INLINE.contains(&name) {
            ended = ended.or(Some(self.open.len() - 1));
        }
        while ended.is_some_and(|at| self.open.len() > at) {
            self.close();
        }
    }

    fn close(&mut self) {
        let Some(Open { tag, attributes, children }) = self.open.pop() else { return };
        let children = readable(children, &tag);
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

/// Nodes of an element of this name with white space as it is seen: one space for several, none at the edge of what stands on
/// lines of its own.
fn readable(nodes: Vec<Value>, tag: &str) -> Vec<Value> {
    if AS_WRITTEN.contains(&tag) {
        return nodes;
    }
    let is_line = |node: Option<&Value>| match node {
        Some(Value::String(_)) => true,
        Some(node) => node.get("tag").and_then(Value::as_str).is_some_and(|tag| INLINE.contains(&tag)),
        None => INLINE.contains(&tag),
    };
    let seen_before: Vec<bool> =
        (0..nodes.len()).map(|at| is_line(at.checked_sub(1).and_then(|at| nodes.get(at)))).collect();
    let seen_behind: Vec<bool> = (0..nodes.len()).map(|at| is_line(nodes.get(at + 1))).collect();
    let mut readable = Vec::with_capacity(nodes.len());
    for (at, node) in nodes.into_iter().enumerate() {
        let Value::String(text) = node else {
            readable.push(node);
            continue;
        };
        let mut one_spaced = String::with_capacity(text.len());
        for piece in text.split_inclusive(|character: char| character.is_ascii_whitespace()) {
            let word = piece.trim_end_matches(|character: char| character.is_ascii_whitespace());
            one_spaced.push_str(word);
            if word.len() < piece.len() && !one_spaced.ends_with(' ') {
                one_spaced.push(' ');
            }
        }
        let begin = usize::from(!seen_before[at] && one_spaced.starts_with(' '));
        let mut shown = &one_spaced[begin..];
        if !seen_behind[at] {
            shown = shown.strip_suffix(' ').unwrap_or(shown);
        }
        if !shown.is_empty() {
            readable.push(Value::String(shown.to_owned()));
        }
    }
    readable
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
