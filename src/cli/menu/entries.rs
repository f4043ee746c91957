//! The entries of the first list, each with its key, its words, and whether it can be done here and now.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::LocalBoxFuture;

use super::{
    Menu, arrivals,
    ask::{self, Stop},
    choose::{Item, List, Picked},
    fetch, jobs, listing, more, peers, send, settings, unfinished,
};
use crate::{
    cli::{report::Failure, terminal},
    tls::Circle,
};

/// What is so in this home now.
pub(super) struct Here {
    /// Whether the key of the circle is here.
    has_circle_key: bool,
    /// What the outside authority is called, where one signs.
    authority: Option<String>,
    /// The machine that has it, if not.
    maker: Option<String>,
    /// How many other peers are known.
    peers: usize,
    /// What waits for a yes, and what is arriving.
    arrivals: usize,
    running: usize,
    listed: usize,
    /// Sends that were begun and not finished.
    unfinished: usize,
}

impl Here {
    async fn look(menu: &Menu) -> Result<Self, Failure> {
        let context = menu.context()?;
        let certs = context.home.dir();
        let has_circle_key = certs.ca_key().exists();
        // What cannot be looked at is offered: the entry says what is wrong.
        let arrivals = arrivals::count(&context).await.unwrap_or(1);
        Ok(Self {
            has_circle_key,
            authority: Circle::authority_of(&certs),
            maker: match has_circle_key {
                true => None,
                false => Circle::maker_of(&certs),
            },
            peers: peers::others(menu).map_or(1, |others| others.len()),
            arrivals,
            running: menu.jobs.running(),
            listed: menu.jobs.count(),
            unfinished: unfinished::list(menu).await.map_or(0, |all| all.len()),
        })
    }

    /// Who pairs, and how.
    fn pairs_elsewhere(&self) -> String {
        if let Some(authority) = &self.authority {
            return format!(
                "an outside authority signs here ({authority}): each machine gets its certificate from there, colis certs import; to let \
                 it in: colis peers allow ID"
            );
        }
        let maker = self
            .maker
            .as_deref()
            .unwrap_or("the machine that made this circle");
        format!(
            "{maker} made this circle and lets machines in: there `colis pair`, or 1 in its menu"
        )
    }
}

/// One entry.
struct Row {
    key: char,
    entry: Entry,
    label: fn(&Here) -> String,
    /// Why it cannot be done here and now, if so: then it is not listed, and its key says why.
    lacks: fn(&Here) -> Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Pair,
    Send,
    Fetch,
    Arrivals,
    Transfers,
    Lists,
    Peers,
    Settings,
    More,
    Quit,
}

fn nothing(_: &Here) -> Option<String> {
    None
}

/// All of them. Each has its key also while others are not listed.
const ROWS: [Row; 10] = [
    Row {
        key: '1',
        entry: Entry::Pair,
        label: |_| "Pair: let a new machine join by a code".to_owned(),
        lacks: |here| (!here.has_circle_key).then(|| here.pairs_elsewhere()),
    },
    Row {
        key: '2',
        entry: Entry::Send,
        label: |_| "Send files, folders or a message".to_owned(),
        lacks: nothing,
    },
    Row {
        key: '3',
        entry: Entry::Fetch,
        label: |_| "Fetch from a peer".to_owned(),
        lacks: |here| (here.peers == 0).then(|| "no other peer is known yet".to_owned()),
    },
    Row {
        key: '4',
        entry: Entry::Arrivals,
        label: |here| format!("Arrivals: {} to look at", here.arrivals),
        lacks: |here| {
            (here.arrivals == 0).then(|| "nothing waits, and nothing is arriving".to_owned())
        },
    },
    Row {
        key: '5',
        entry: Entry::Transfers,
        label: |here| match (here.running, here.unfinished) {
            (0, 0) => "Transfers that ended: do one again".to_owned(),
            (0, count) => format!("Transfers: {count} not finished, go on or forget"),
            (count, _) => format!("Transfers: {count} running, cancel one"),
        },
        lacks: |here| {
            (here.listed + here.unfinished == 0).then(|| {
                "nothing was sent or fetched since this menu was opened, and every send is finished"
                    .to_owned()
            })
        },
    },
    Row {
        key: '6',
        entry: Entry::Lists,
        label: |_| "Lists: what is here, at a peer, what was; delete".to_owned(),
        lacks: nothing,
    },
    Row {
        key: '7',
        entry: Entry::Peers,
        label: |_| "Peers, and this circle".to_owned(),
        lacks: nothing,
    },
    Row {
        key: '8',
        entry: Entry::Settings,
        label: |_| "Settings".to_owned(),
        lacks: nothing,
    },
    Row {
        key: '9',
        entry: Entry::More,
        label: |_| "More: status, doctor".to_owned(),
        lacks: nothing,
    },
    Row {
        key: '0',
        entry: Entry::Quit,
        label: |_| "Quit".to_owned(),
        lacks: nothing,
    },
];

/// One of them, asked for until it is one that can be done. `at` is the one that was chosen last.
pub(super) async fn choose(menu: &Menu, at: Option<Entry>) -> Result<Entry, Stop> {
    let mut at = at
        .and_then(|at| ROWS.iter().find(|row| row.entry == at))
        .map(|row| row.key);
    loop {
        menu.jobs.take_change();
        let here = Here::look(menu).await?;
        let (listed, unlisted): (Vec<_>, Vec<_>) =
            ROWS.iter().partition(|row| (row.lacks)(&here).is_none());
        let items = listed.iter().map(|row| Item {
            key: Some(row.key),
            text: (row.label)(&here),
        });
        let jobs = Arc::clone(&menu.jobs);
        let marked = Arc::new(Mutex::new(at));
        let mark = Arc::clone(&marked);
        let list = List::with_keys("What next?", items.collect()).at(at);
        let list = list.unlisted(unlisted.iter().map(|row| row.key).collect());
        let is_stale = move |now| {
            let is_stale = jobs.take_change();
            if is_stale {
                *mark.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            is_stale
        };
        match list.until(is_stale).chosen().await {
            Ok(picked) => match picked.first() {
                Some(Picked::Line(place)) => {
                    return listed.get(*place).map(|row| row.entry).ok_or(Stop::Back);
                }
                Some(Picked::Key(key)) => {
                    let row = unlisted.iter().find(|row| row.key == *key);
                    let here = Here::look(menu).await?;
                    match row.map(|row| (row.entry, (row.lacks)(&here))) {
                        Some((entry, None)) => return Ok(entry),
                        Some((_, Some(why))) => terminal::say(&why),
                        None => {}
                    }
                    at = None;
                }
                None => {}
            },
            // It is listed anew, at the line where one was.
            Err(Stop::Stale) => at = *marked.lock().unwrap_or_else(PoisonError::into_inner),
            Err(stop) => return Err(stop),
        }
    }
}

/// Does it.
pub(super) async fn enter(menu: &Menu, entry: Entry) -> Result<(), Stop> {
    // Each is large: inside of one another they would be too much for the stack.
    let entered: LocalBoxFuture<'_, _> = match entry {
        Entry::Pair => Box::pin(menu.pair()),
        Entry::Send => Box::pin(send::run(menu)),
        Entry::Fetch => Box::pin(fetch::run(menu)),
        Entry::Arrivals => Box::pin(arrivals::run(menu)),
        Entry::Transfers => Box::pin(jobs::run(menu)),
        Entry::Lists => Box::pin(listing::run(menu)),
        Entry::Peers => Box::pin(peers::run(menu)),
        Entry::Settings => Box::pin(settings::run(menu)),
        Entry::More => Box::pin(more::run(menu)),
        Entry::Quit => return Ok(()),
    };
    entered.await
}

/// One of several ways, by its words.
pub(super) async fn way<T: Copy>(prompt: &str, ways: &[(T, &str)]) -> Result<T, Stop> {
    let labels = ways.iter().map(|(_, label)| ask::cut(label)).collect();
    let chosen = super::choose::one(prompt, labels).await?;
    ways.get(chosen).map(|(way, _)| *way).ok_or(Stop::Back)
}
