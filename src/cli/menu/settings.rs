//! The settings: seen, and changed one by one.

use super::{
    Menu,
    ask::{self, Stop},
    choose, words,
};

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    menu.run(words(&["config", "show"])).await?;
    let ways = [
        "Change where this peer listens",
        "Change what happens to arrivals",
        "Change another setting",
        "Back",
    ];
    let (key, value) = match choose::one("Settings", ways.map(str::to_owned).to_vec()).await? {
        0 => ("listen".to_owned(), value("Address and port").await?),
        1 => ("inbox".to_owned(), inbox().await?),
        2 => (value("Which setting").await?, value("Its value").await?),
        _ => return Ok(()),
    };
    menu.run(words(&["config", "set", "--", &key, &value]))
        .await
}

async fn value(prompt: &str) -> Result<String, Stop> {
    let text = ask::text(prompt, None, Box::new(|_| Ok(()))).await?;
    Ok(text.trim().to_owned())
}

async fn inbox() -> Result<String, Stop> {
    let modes = [
        ("auto", "open them into received/"),
        ("ask", "let them wait for a yes, under Arrivals"),
        ("off", "leave them sealed"),
    ];
    let items = modes.map(|(mode, what)| format!("{mode}: {what}"));
    let chosen = choose::one("What happens to arrivals?", items.to_vec()).await?;
    let (mode, _) = modes.get(chosen).ok_or(Stop::Back)?;
    Ok((*mode).to_owned())
}
