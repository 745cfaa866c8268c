//! The service user.

use super::Context;
use crate::checks::Finding;
use crate::error::Result;

pub(super) fn usable(context: &Context) -> Result<Finding> {
    let account = context.account()?;
    let name = &account.name;
    let today = jiff::Timestamp::now().as_second().div_euclid(86_400);
    Ok(match context.host.account_ends(name)? {
        Some(day) if day <= today => Finding::fail(
            format!("the user {name} has expired: its manager does not start again"),
            format!("chage --expiredate -1 {name}"),
        ),
        _ => Finding::ok(format!("{name}, uid {}", account.uid)),
    })
}
