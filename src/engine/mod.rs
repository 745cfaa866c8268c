//! Walks lists of resources: looks at all of them (`plan`), or makes them so (`apply`), with a
//! ledger of what we created.

pub mod adopt;
pub mod apply;
pub mod ledger;
pub mod plan;
