//! Compares two outputs or two runs: changes, rules, verdicts.
