//! The settings file: the choices that were made by flags are written into it; everything else in
//! it, comments too, stays as it is.

use crate::error::{Failure, Result};
use crate::event::Sink;
use crate::host::files::{FileNow, Perms, Put};
use crate::host::{Reader, Writer};
use crate::resource::{Id, Mark, Planned, Resource, Seen, Standing, Verdict, unified};
use crate::settings::origin::KeyPath;
use std::path::PathBuf;
use toml_edit::{DocumentMut, Item, Table, Value};

const HEAD: &str =
    "# Settings of authentik-install. Change them and run `authentik-install install`.\n";

/// The settings file.
#[derive(Debug)]
pub struct SettingsFile {
    /// Where.
    pub path: PathBuf,
    /// Keys and values that it should have.
    pub choices: Vec<(KeyPath, Value)>,
}

/// The file is written anew.
#[derive(Debug)]
pub struct Write {
    old: Option<FileNow>,
    new: String,
}

fn table_of<'t>(table: &'t mut Table, path: &[String]) -> Option<&'t mut Table> {
    let Some((name, rest)) = path.split_first() else { return Some(table) };
    let inner = table.entry(name).or_insert_with(|| Item::Table(Table::new()));
    inner.as_table_mut().and_then(|inner| table_of(inner, rest))
}

// By what it means, not by how it is quoted.
fn same(old: &Value, new: &Value) -> bool {
    match (old.as_str(), new.as_str()) {
        (Some(old), Some(new)) => old == new,
        _ => old.clone().decorated("", "").to_string() == new.clone().decorated("", "").to_string(),
    }
}

fn with_choices(
    text: &str,
    choices: &[(KeyPath, Value)],
) -> std::result::Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    for (path, wanted) in choices {
        let Some((key, tables)) = path.split_last() else { continue };
        let Some(table) = table_of(document.as_table_mut(), tables) else { continue };
        if !table.get(key).and_then(Item::as_value).is_some_and(|old| same(old, wanted)) {
            match table.get_mut(key).and_then(Item::as_value_mut) {
                // The comment behind the old value stays.
                Some(old) => {
                    let decor = old.decor().clone();
                    *old = wanted.clone();
                    *old.decor_mut() = decor;
                }
                None => {
                    table.insert(key, Item::Value(wanted.clone().decorated(" ", "")));
                }
            }
        }
    }
    Ok(document.to_string())
}

impl Resource for SettingsFile {
    type Found = Option<FileNow>;
    type Act = Write;

    fn id(&self) -> Id {
        Id::new("settings", self.path.display())
    }

    fn aim(&self) -> String {
        format!("write the given choices into {}", self.path.display())
    }

    fn claim(&self) -> Option<Mark> {
        Some(Mark::default())
    }

    fn inspect(&self, host: &Reader) -> Result<Seen<Self::Found>> {
        Ok(Seen::Now(host.read(&self.path)?))
    }

    fn diff(&self, found: &Self::Found, _: &Standing) -> Verdict<Write> {
        let path = self.path.display().to_string();
        let old = found.as_ref().map(|now| String::from_utf8_lossy(&now.bytes).into_owned());
        match with_choices(old.as_deref().unwrap_or(HEAD), &self.choices) {
            Err(error) => {
                Verdict::foreign(format!("{path} is not TOML: {error}"), format!("correct {path}"))
            }
            Ok(new) if old.as_ref() == Some(&new) => Verdict::Converged,
            Ok(new) => {
                let diff = unified(&path, old.as_deref().unwrap_or_default(), &new);
                let act = Write { old: found.clone(), new };
                Verdict::of(vec![
                    match found {
                        Some(_) => {
                            Planned::change(act, format!("write the given choices into {path}"))
                        }
                        None => Planned::create(act, format!("create {path} (root:root 0644)")),
                    }
                    .with_diff(diff),
                ])
            }
        }
    }

    fn apply(&self, host: &Writer<'_>, act: &Write, _: &dyn Sink) -> Result<()> {
        let (perms, put) = match &act.old {
            Some(now) => (now.meta.perms, Put::Replace),
            None => (Perms::root(0o644), Put::New),
        };
        if self.path.extension().is_none_or(|end| end != "toml") {
            return Err(Failure::new(
                "writing the settings",
                self.path.display(),
                "its name must end in .toml",
            ));
        }
        host.put(&self.path, act.new.as_bytes(), perms, put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_go_in_and_comments_stay() {
        let old = "# mine\ndomain = \"old.example.com\" # why\n\n[proxy]\ntls = \"internal\"\n";
        let new = with_choices(
            old,
            &[
                (vec!["domain".into()], "new.example.com".into()),
                (vec!["proxy".into(), "acme_email".into()], "a@b.c".into()),
                (vec!["http_port".into()], 9100.into()),
            ],
        )
        .unwrap();
        assert_eq!(
            new,
            "# mine\ndomain = \"new.example.com\" # why\nhttp_port = 9100\n\n[proxy]\ntls = \"internal\"\nacme_email = \"a@b.c\"\n"
        );
        assert_eq!(with_choices(&new, &[]).unwrap(), new);
    }
}
