//! The settings: chosen from a list with their values, and changed one by one.

use std::env;

use super::{
    Menu,
    ask::{self, Stop},
    choose,
    entries::way,
    words,
};
use crate::{
    cli::{report::Failure, terminal},
    config::{SETTINGS, SetBy, Setting, Shown},
};

/// Settings whose value is a choice, and what each value means.
const CHOICES: [(&str, &[(&str, &str)]); 3] = [
    (
        "inbox",
        &[
            ("auto", "open what arrives into received/"),
            ("ask", "let it wait for a yes, under Arrivals"),
            ("off", "leave it sealed"),
        ],
    ),
    (
        "discovery",
        &[
            ("true", "be found, and find others, in this network"),
            ("false", "neither"),
        ],
    ),
    (
        "default_role",
        &[
            ("member", "everything"),
            ("sender", "put, and see their own"),
            ("reader", "see what is addressed to them"),
            ("none", "nothing"),
        ],
    ),
];

/// Takes a setting back.
const TO_DEFAULT: &str = "Back to the default: take it out of the settings";

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let home = menu.context()?.home;
    let mut all = Shown::all(&home.config(), |name| env::var_os(name)).map_err(Failure::from)?;
    // What is said of single peers is edited in the file.
    all.retain(|one| of_table(&one.key).is_some());
    let width = all.iter().map(|one| one.key.len()).max().unwrap_or(0);
    let labels = all.iter().map(|one| ask::cut(&label(one, width))).collect();
    let chosen = choose::one("Which setting?", labels).await?;
    let setting = all.get(chosen).ok_or(Stop::Back)?;
    explain(setting);
    loop {
        let value = match choices(&setting.key) {
            Some(choices) => choose_value(setting, choices).await?,
            None => type_value(setting).await?,
        };
        let change = match &value {
            Some(value) => words(&["config", "set", "--", &setting.key, value]),
            None => words(&["config", "unset", "--", &setting.key]),
        };
        match menu.run(change).await {
            // What is wrong with the value is said, and asked again.
            Err(Stop::Failed(failure)) => failure.print(menu.output()),
            done => return done,
        }
    }
}

fn of_table(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn choices(key: &str) -> Option<&'static [(&'static str, &'static str)]> {
    let known = CHOICES.iter().find(|(known, _)| *known == key);
    known.map(|(_, choices)| *choices)
}

/// Its value, as a person types it.
fn value(shown: &Shown) -> Option<&str> {
    shown.value.as_deref().map(|value| value.trim_matches('"'))
}

/// Name, value, and the beginning of what it is for.
fn label(shown: &Shown, width: usize) -> String {
    let about = of_table(&shown.key).map_or("", |setting| setting.about);
    let value = value(shown).unwrap_or(shown.holds);
    let about = about.split(['\n', ':', '.']).next().unwrap_or_default();
    format!("{:width$}  {value:12}  {about}", shown.key)
}

fn explain(shown: &Shown) {
    if let Some(setting) = of_table(&shown.key) {
        terminal::say(&setting.about.replace('\n', " "));
    }
    if let SetBy::Environment(variable) = &shown.origin {
        terminal::say(&format!(
            "{variable} is set, and wins over what is chosen here"
        ));
    }
}

/// Whether the file sets it, so that it can be taken back.
fn is_set(shown: &Shown) -> bool {
    matches!(shown.origin, SetBy::File(_))
}

/// One of the choices; none for the default.
async fn choose_value(shown: &Shown, choices: &[(&str, &str)]) -> Result<Option<String>, Stop> {
    let now = value(shown);
    let item = |(value, means): &(&str, &str)| match now == Some(*value) {
        true => format!("{value}: {means} (now)"),
        false => format!("{value}: {means}"),
    };
    let prompt = format!("Value of {}", shown.key);
    let mut items: Vec<_> = choices.iter().map(item).collect();
    if is_set(shown) {
        items.push(TO_DEFAULT.to_owned());
    }
    let chosen = choose::one(&prompt, items).await?;
    Ok(choices.get(chosen).map(|(value, _)| (*value).to_owned()))
}

/// A typed value; none for the default.
async fn type_value(shown: &Shown) -> Result<Option<String>, Stop> {
    let prompt = format!("Value of {}", shown.key);
    if is_set(shown) {
        let ways = [(false, "Type another value"), (true, TO_DEFAULT)];
        if way(&prompt, &ways).await? {
            return Ok(None);
        }
    }
    let now = value(shown).map(str::to_owned);
    let text = ask::text(&prompt, now, Box::new(|_| Ok(()))).await?;
    Ok(Some(text.trim().to_owned()))
}
