//! Help texts, as a person sees them. `TRYCMD=overwrite` takes over what has changed.

#[test]
fn help_is_what_was_read_and_approved() {
    trycmd::TestCases::new().case("tests/help/*.trycmd");
}
