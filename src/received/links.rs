//! Links of a table, with the names that entries have here: a link to a renamed entry leads to it.

use std::{collections::HashMap, iter};

use super::layout::{Fingerprint, Layout, fingerprint, shortened};
use crate::{id::Hasher, name::SafeName};

/// So many links are followed one through the other, as by Linux.
const MOST_THROUGH: usize = 40;

/// The links of one table, whose targets [`check_link`](crate::name::check_link) has passed.
pub struct Links<'a> {
    layout: &'a Layout,
    /// Path and target of each link, by its path.
    links: HashMap<Fingerprint, (&'a str, &'a str)>,
    /// The folders that links lead to, as far as was asked; `None` for a link that leads to no folder of the table.
    folders: HashMap<Fingerprint, Option<Spot>>,
}

/// A path of the table, by its hash so far: a long target must not cost the square of its length.
#[derive(Clone)]
struct Spot {
    path: Hasher,
    is_root: bool,
}

impl<'a> Links<'a> {
    /// For `layout`, to which every entry was added. `links` are paths of the table, and targets.
    pub fn new(layout: &'a Layout, links: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        // Without a new name no link is looked at.
        let links = links.take_while(|_| !layout.new_names.is_empty());
        Self {
            layout,
            links: links.map(|link| (fingerprint(link.0), link)).collect(),
            folders: HashMap::new(),
        }
    }

    /// `target` of the link at `path` with the names that entries have here, also of those behind other links.
    pub fn follow(&mut self, path: &str, target: &str) -> String {
        let layout = self.layout;
        if layout.new_names.is_empty() {
            return target.to_owned();
        }
        let mut at = Some(Spot::start(path, target));
        let followed = target.split('/').map(|part| {
            if !is_name(part) {
                return part;
            }
            at = at.take().and_then(|at| self.step(at, part, MOST_THROUGH));
            let name = at.as_ref().map(Spot::fingerprint);
            let name = name.and_then(|id| layout.new_names.get(&id));
            name.map_or(part, SafeName::as_str)
        });
        followed.collect::<Vec<_>>().join("/")
    }

    /// The entry called `name` in the folder at `spot`; `None` if no folder of the table is there.
    fn step(&mut self, spot: Spot, name: &str, through: usize) -> Option<Spot> {
        self.folder(spot, through).map(|folder| folder.entry(name))
    }

    /// The folder at `spot`, which may be a link to it.
    fn folder(&mut self, spot: Spot, through: usize) -> Option<Spot> {
        let id = spot.fingerprint();
        if spot.is_root || self.layout.folders.contains_key(&id) {
            return Some(spot);
        }
        if let Some(known) = self.folders.get(&id) {
            return known.clone();
        }
        let (path, target) = *self.links.get(&id)?;
        let folder = through.checked_sub(1).and_then(|through| {
            let mut names = target.split('/').filter(|part| is_name(part));
            let end = names.try_fold(Spot::start(path, target), |at, name| {
                self.step(at, name, through)
            })?;
            self.folder(end, through)
        });
        self.folders.insert(id, folder.clone());
        folder
    }
}

impl Spot {
    /// Where the names of `target` begin, which climbs only at its beginning, seen from the link at `link`.
    fn start(link: &str, target: &str) -> Self {
        let up = target.split('/').filter(|part| *part == "..").count();
        let mut folders = iter::successors(Some(link), |path| Some(path.rsplit_once('/')?.0));
        let folder = folders.nth(1 + up);
        let mut path = Hasher::default();
        path.update(folder.unwrap_or_default().as_bytes());
        Self {
            path,
            is_root: folder.is_none(),
        }
    }

    fn entry(mut self, name: &str) -> Self {
        if !self.is_root {
            self.path.update(b"/");
        }
        self.path.update(name.as_bytes());
        Self {
            is_root: false,
            ..self
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        shortened(self.path.clone().finish())
    }
}

fn is_name(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        name::RelPath,
        received::{EntryKind, Names, Refused},
    };

    /// A table of `folders`, `files` and links.
    fn layout(names: Names, folders: &[&str], files: &[&str], links: &[(&str, &str)]) -> Layout {
        let mut layout = Layout::new(names, Refused::default());
        let mut add = |path, kind| {
            layout.add(&RelPath::parse(path).unwrap(), kind).unwrap();
        };
        folders
            .iter()
            .for_each(|path| add(path, EntryKind::Directory));
        files.iter().for_each(|path| add(path, EntryKind::Leaf));
        links.iter().for_each(|link| add(link.0, EntryKind::Leaf));
        layout
    }

    #[test]
    fn a_link_to_a_renamed_entry_leads_to_it() {
        let folders = ["d", "d/x:y", "d/x:y/deep"];
        let files = ["d/a:b", "d/a_b", "d/x:y/c."];
        let layout = layout(Names::Exact, &folders, &files, &[]);
        for (link, target, followed) in [
            ("d/l", "a:b", "a_b"),
            ("d/l", "a_b", "a_b (2)"),
            ("d/l", "./x:y//c.", "./x_y//c_"),
            ("d/x:y/l", "../a:b", "../a_b"),
            ("d/x:y/deep/l", "../../x:y/deep", "../../x_y/deep"),
            ("d/x:y/l", "a:b", "a:b"),
            ("d/l", "x:y/c./on", "x_y/c_/on"),
        ] {
            let mut links = Links::new(&layout, iter::once((link, target)));
            assert_eq!(links.follow(link, target), followed, "{link}");
        }
        assert_eq!(layout.renamed().count, 3);
    }

    #[test]
    fn a_link_through_other_links_leads_to_the_renamed_entry() {
        let all = [
            ("d/a/to", "../b"),
            ("d/a/far", "./to//in"),
            ("d/l", "a/far/X"),
            ("d/m", "a/far/../X"),
            ("d/n", "l"),
            ("d/r1", "r2/x"),
            ("d/r2", "r1"),
        ];
        let folders = ["d", "d/a", "d/b", "d/b/in"];
        let files = ["d/b/in/x", "d/b/in/X", "d/N"];
        let layout = layout(Names::Folded, &folders, &files, &all);
        let mut links = Links::new(&layout, all.into_iter());
        assert_eq!(links.follow("d/l", "a/far/X"), "a/far/X (2)");
        assert_eq!(links.follow("d/l", "a/far/x"), "a/far/x");
        assert_eq!(links.follow("d/a/k", "to/in/X"), "to/in/X (2)");
        assert_eq!(links.follow("d/k", "n"), "n (2)");
        assert_eq!(links.follow("d/k", "r1/X"), "r1/X", "a loop");
    }

    #[test]
    fn a_chain_of_links_is_followed_as_far_as_linux_follows_it() {
        let paths: Vec<_> = (0..100).map(|n| format!("d/{n}")).collect();
        let targets = (0..100).map(|n: u32| match n {
            0 => "real".to_owned(),
            n => (n - 1).to_string(),
        });
        let targets: Vec<_> = targets.collect();
        let all = paths
            .iter()
            .map(String::as_str)
            .zip(targets.iter().map(String::as_str));
        let all: Vec<_> = all.collect();
        let folders = ["d", "d/real"];
        let layout = layout(Names::Folded, &folders, &["d/real/x", "d/real/X"], &all);
        let follow = |target| Links::new(&layout, all.iter().copied()).follow("d/l", target);
        assert_eq!(follow("39/X"), "39/X (2)");
        assert_eq!(follow("40/X"), "40/X", "no system follows it");
    }
}
