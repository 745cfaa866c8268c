//! What is typed and what is answered, one case a file: `tests/cli/*.toml`.
#![allow(missing_docs)]

#[test]
fn cases() {
    trycmd::TestCases::new().case("tests/cli/*.toml");
}
