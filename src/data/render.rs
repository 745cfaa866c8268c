//! Fills templates. A variable that is not set is an error, and so is a value that would break out
//! of its line in a unit file.

use crate::data::embedded;
use crate::error::{Failure, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, escape_formatter};
use serde::Serialize;

/// What the rendered text will be read by, which decides how values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// systemd units and Quadlet files: one line a value, `%` starts a specifier.
    Unit,
    /// Caddyfile: a value is one token, `{` starts a placeholder.
    Caddyfile,
    /// Text for people.
    Text,
}

impl Syntax {
    fn escape(self, value: &str) -> std::result::Result<String, minijinja::Error> {
        let refuse = |why: &str| {
            Err(minijinja::Error::new(
                minijinja::ErrorKind::InvalidOperation,
                format!("the value {value:?} {why}"),
            ))
        };
        if value.chars().any(char::is_control) {
            return refuse("has a control character");
        }
        match self {
            Syntax::Unit if value.ends_with('\\') => refuse("ends with a backslash"),
            Syntax::Text => Ok(value.to_owned()),
            Syntax::Unit => Ok(value.replace('%', "%%")),
            Syntax::Caddyfile if value.contains(['{', '}', '"', '`', ' ', '#']) => {
                refuse("is not one plain token of a Caddyfile")
            }
            Syntax::Caddyfile => Ok(value.to_owned()),
        }
    }
}

/// Renders an embedded template with `values`.
///
/// # Errors
/// If the template uses a variable that is not set, or a value cannot be written in this syntax.
pub fn render(template: &str, syntax: Syntax, values: &impl Serialize) -> Result<String> {
    let text = embedded::text(template)?;
    render_text(template, &text, syntax, values)
}

fn render_text(name: &str, text: &str, syntax: Syntax, values: &impl Serialize) -> Result<String> {
    let fail = |error: minijinja::Error| Failure::new("rendering", name, error.to_string());
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax_of_template = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax_of_template.map_err(fail)?);
    environment.set_formatter(move |out, state, value| match value.as_str() {
        Some(text) => {
            let escaped = syntax.escape(text)?;
            escape_formatter(out, state, &Value::from_safe_string(escaped))
        }
        None => escape_formatter(out, state, value),
    });
    environment
        .template_from_str(text)
        .and_then(|template| template.render(Value::from(Serde(values))))
        .map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn one(value: &str, syntax: Syntax) -> Result<String> {
        render_text("t", "K={{ v }}\n", syntax, &BTreeMap::from([("v", value)]))
    }

    #[test]
    fn percent_is_doubled_in_units() {
        assert_eq!(one("50%h", Syntax::Unit).unwrap(), "K=50%%h\n");
    }

    #[test]
    fn a_line_break_cannot_leave_its_line() {
        assert!(one("a\nExecStartPre=rm", Syntax::Unit).is_err());
        assert!(one("a\\", Syntax::Unit).is_err());
        assert!(one("a }\nx", Syntax::Caddyfile).is_err());
        assert!(one("{env.X}", Syntax::Caddyfile).is_err());
    }

    #[test]
    fn an_unset_variable_is_an_error() {
        let failure =
            render_text("t", "{{ missing }}", Syntax::Unit, &BTreeMap::<&str, &str>::new());
        assert!(failure.is_err());
    }
}
