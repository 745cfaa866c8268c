//! What holds for every input.
#![allow(missing_docs, clippy::uninlined_format_args)]

use authentik_install::names::{Domain, PgName, Version};
use authentik_install::secret::Secret;
use authentik_install::text::block::{self, Place};
use proptest::prelude::*;

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![Just(Place::First), Just(Place::Last)]
}

proptest! {
    /// Whatever a person wrote comes back to the byte.
    #[test]
    fn a_block_leaves_no_trace(text in "(#? ?[a-z {}\t]{0,12}(\r\n|\n|\n\n|\r)?){0,12}", place in place()) {
        let with = block::insert(&text, &["a line", "another"], place);
        prop_assert_eq!(block::content(&with), Some(vec!["a line", "another"]));
        prop_assert_eq!(block::insert(&with, &["a line", "another"], place), with.clone());
        prop_assert_eq!(block::remove(&with), text);
    }

    /// No name that passes can leave the quotes, the token or the line that it is written into.
    #[test]
    fn names_are_harmless(text in "\\PC{0,40}") {
        let harmless = |name: &str| !name.contains(['\'', '"', '`', '\\', '\n', ' ', '{', '}', '%', ';', '$']);
        if let Ok(name) = text.parse::<Domain>() { prop_assert!(harmless(name.as_str())); }
        if let Ok(name) = text.parse::<PgName>() { prop_assert!(harmless(name.as_str())); }
        if let Ok(name) = text.parse::<Version>() { prop_assert!(harmless(name.as_str())); }
    }

    /// A secret is shown by nobody.
    #[test]
    fn secrets_do_not_show(value in "[A-Za-z0-9]{8,40}") {
        let secret = Secret::from_file_bytes(value.as_bytes());
        let shown = format!("{:?}", secret);
        prop_assert!(!shown.contains(&value));
    }
}
