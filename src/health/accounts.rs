//! The service user.

use super::Context;
use crate::checks::Finding;
use crate::error::Result;

pub(super) fn usable(context: &Context) -> Result<Finding> {
    let account = context.account()?;
    let name = &account.name;
    Ok(match context.host.has_ended(name)? {
        true => Finding::fail(
            format!("the user {name} has expired: its manager does not start again"),
            format!("chage --expiredate -1 {name}"),
        ),
        false => Finding::ok(format!("{name}, uid {}", account.uid)),
    })
}
