//! `completions` and `man`: what is known of the command line, for shells and for readers.

use crate::cli::{Cli, Completions, Man, Shell};
use crate::error::{Exit, Failure, Result};
use crate::verbs::World;
use clap::CommandFactory;

const NAME: &str = "authentik-install";

/// Prints the completions of a shell.
///
/// # Errors
/// None so far.
pub fn completions(world: &World<'_>, args: &Completions) -> Result<Exit> {
    use clap_complete::{Shell as Of, generate};
    let shell = match args.shell {
        Shell::Bash => Of::Bash,
        Shell::Zsh => Of::Zsh,
        Shell::Fish => Of::Fish,
    };
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), NAME, &mut text);
    world.output.result(&String::from_utf8_lossy(&text));
    Ok(Exit::Done)
}

/// Prints the manual page, or writes those of all verbs.
///
/// # Errors
/// If a page cannot be written.
pub fn man(world: &World<'_>, args: &Man) -> Result<Exit> {
    if let Some(folder) = &args.output {
        clap_mangen::generate_to(Cli::command(), folder).map_err(|error| {
            Failure::new("writing the manual pages into", folder.display(), error)
                .next(format!("mkdir -p {}", folder.display()))
        })?;
        return Ok(Exit::Done);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| Failure::new("writing", "the manual page", error))?;
    world.output.result(&String::from_utf8_lossy(&page));
    Ok(Exit::Done)
}
