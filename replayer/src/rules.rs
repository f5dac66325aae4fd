//! What may differ when calls are matched: fields under a `dep:` rule, and the values of credentials in a target.
//!
//! In: the rules by hand. Out: the hook through which `matching` sees recorded and made calls alike.

use content::json::Value;
use diff::{Route, Rules};
use matching::{LeftOut, Normalise};

/// Matching under the rules by hand.
pub(crate) struct MatchingRules {
    rules: Rules,
}

impl MatchingRules {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules }
    }
}

impl Normalise for MatchingRules {
    /// A recorded credential is a pseudonym and one that is sent now is not, so neither tells calls apart.
    fn target(&self, _dependency: &str, target: &[u8]) -> Vec<u8> {
        content::redact::without_credentials(target)
    }

    fn route(&self, method: &str, target: &str) -> String {
        Route::new(method, target).to_string()
    }

    fn body(&self, dependency: &str, body: &mut Value) -> Vec<LeftOut> {
        let taken = self.rules.take_out_of_call(dependency, body);
        taken.into_iter().map(|it| LeftOut { rule: it.rule, pointer: it.pointer, digest: it.digest }).collect()
    }
}
