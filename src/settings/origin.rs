//! Layers of settings, the stronger over the weaker, and which layer a value came from.

use crate::error::{Failure, Result};
use crate::settings::input::{Input, Values};
use serde::Serialize;
use std::fmt;
use toml_edit::{DocumentMut, Item, Table, Value};

/// The place a value was read from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A flag, or its `AUTHENTIK_INSTALL_*` variable.
    Given,
    /// The settings file.
    File,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Given => "given",
            Origin::File => "from the settings file",
            Origin::Default => "default",
        })
    }
}

/// A key with the tables that it is in, outermost first.
pub type KeyPath = Vec<String>;

/// What was given, what the file says, and the defaults.
#[derive(Debug, Clone)]
pub struct Layers {
    given: DocumentMut,
    file: DocumentMut,
    merged: DocumentMut,
}

fn document(layer: &impl Serialize) -> Result<DocumentMut> {
    toml_edit::ser::to_document(layer)
        .map_err(|error| Failure::new("putting together", "the settings", error.to_string()))
}

fn lay_over(below: &mut Table, above: &Table) {
    for (key, item) in above {
        match (below.get_mut(key).and_then(Item::as_table_like_mut), item.as_table_like()) {
            (Some(inner), Some(over)) => {
                let mut own =
                    inner.iter().map(|(k, v)| (k.to_owned(), v.clone())).collect::<Table>();
                let over: Table = over.iter().map(|(k, v)| (k.to_owned(), v.clone())).collect();
                lay_over(&mut own, &over);
                below.insert(key, Item::Table(own));
            }
            _ => {
                below.insert(key, item.clone());
            }
        }
    }
}

fn leaves(item: &Item, path: &KeyPath, found: &mut Vec<(KeyPath, Value)>) {
    match (item.as_table_like(), item.as_value()) {
        (Some(table), _) => {
            for (key, inner) in table.iter() {
                let path = path.iter().cloned().chain([key.to_owned()]).collect();
                leaves(inner, &path, found);
            }
        }
        (None, Some(value)) => found.push((path.clone(), value.clone())),
        (None, None) => {}
    }
}

fn has(document: &DocumentMut, path: &KeyPath) -> bool {
    let mut item = Some(document.as_item());
    for key in path {
        item = item.and_then(|item| item.as_table_like()?.get(key));
    }
    item.is_some()
}

impl Layers {
    /// Puts the layers over each other.
    ///
    /// # Errors
    /// If one of them cannot be written as TOML: a defect.
    pub fn of(given: &Input, file: &Input, defaults: &Input) -> Result<Self> {
        let (given, file) = (document(given)?, document(file)?);
        let mut merged = document(defaults)?;
        lay_over(&mut merged, &file);
        lay_over(&mut merged, &given);
        Ok(Layers { given, file, merged })
    }

    /// The values in effect, or the name of the key that nobody set.
    ///
    /// # Errors
    /// In words, if a needed key is not set anywhere.
    pub fn values(&self) -> std::result::Result<Values, String> {
        toml_edit::de::from_document(self.merged.clone())
            .map_err(|error| error.message().to_owned())
    }

    /// What was given, as keys of the settings file.
    pub fn choices(&self) -> Vec<(KeyPath, Value)> {
        let mut found = Vec::new();
        leaves(self.given.as_item(), &KeyPath::new(), &mut found);
        found
    }

    /// Was it given, or does the file say it?
    pub fn is_written(&self, path: &KeyPath) -> bool {
        has(&self.given, path) || has(&self.file, path)
    }

    /// Every value in effect with its origin.
    pub fn origins(&self) -> Vec<(KeyPath, Value, Origin)> {
        let mut found = Vec::new();
        leaves(self.merged.as_item(), &KeyPath::new(), &mut found);
        let origin = |path: &KeyPath| match (has(&self.given, path), has(&self.file, path)) {
            (true, _) => Origin::Given,
            (false, true) => Origin::File,
            (false, false) => Origin::Default,
        };
        found.into_iter().map(|(path, value)| (path.clone(), value, origin(&path))).collect()
    }
}

impl Input {
    /// This one, with `below` where it says nothing.
    ///
    /// # Errors
    /// If one of them cannot be written as TOML: a defect.
    pub fn over(&self, below: &Input) -> Result<Input> {
        let mut merged = document(below)?;
        lay_over(&mut merged, &*document(self)?);
        toml_edit::de::from_document(merged)
            .map_err(|error| Failure::new("putting together", "the settings", error.to_string()))
    }
}

/// The line of a key in the text of a settings file, counted from 1.
pub fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let document = toml_edit::Document::parse(text).ok()?;
    let mut item = document.as_item();
    let mut span = None;
    for key in path {
        let (name, inner) = item.as_table_like()?.get_key_value(key)?;
        span = name.span().or_else(|| inner.span());
        item = inner;
    }
    Some(text.get(..span?.start)?.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn input(text: &str) -> Input {
        Input::from_toml(text, Path::new("t")).unwrap()
    }

    #[test]
    fn the_stronger_layer_wins_key_by_key() {
        let layers = Layers::of(
            &input("[proxy]\ntls = \"internal\""),
            &input("domain = \"a.example.com\"\n[proxy]\ntls = \"acme\"\nenabled = false"),
            &input("[proxy]\nenabled = true\n[env]\nAUTHENTIK_A = \"1\""),
        )
        .unwrap();
        let shown: Vec<String> = layers
            .origins()
            .into_iter()
            .map(|(path, value, origin)| {
                format!("{}={} {origin}", path.join("."), value.to_string().trim())
            })
            .collect();
        for line in [
            "domain=\"a.example.com\" from the settings file",
            "proxy.tls=\"internal\" given",
            "proxy.enabled=false from the settings file",
            "env.AUTHENTIK_A=\"1\" default",
        ] {
            assert!(shown.iter().any(|row| row == line), "{line} in {shown:#?}");
        }
        let choices = layers.choices();
        assert_eq!(choices.len(), 1);
        assert_eq!(choices[0].0, ["proxy", "tls"]);
    }

    #[test]
    fn lines_of_keys() {
        let text = "# c\ndomain = \"a\"\n\n[env]\nAUTHENTIK_X = \"y\"\n";
        assert_eq!(line_of(text, &["domain"]), Some(2));
        assert_eq!(line_of(text, &["env", "AUTHENTIK_X"]), Some(5));
        assert_eq!(line_of(text, &["none"]), None);
    }
}
