//! What to do next, in the words of the command line, and in those of the menu where no command is typed.

use std::fmt::Display;

/// A hint. The menu has words of its own only where those of the command line would mislead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Hint {
    command: String,
    menu: Option<String>,
    /// Lines after it: what to type, where that is more than a command.
    steps: Vec<String>,
}

impl<T: Display> From<T> for Hint {
    fn from(text: T) -> Self {
        Self {
            command: text.to_string(),
            menu: None,
            steps: Vec::new(),
        }
    }
}

impl Hint {
    pub(in crate::cli) fn in_menu(self, text: impl Display) -> Self {
        Self {
            menu: Some(text.to_string()),
            ..self
        }
    }

    /// The same with lines after it.
    pub(in crate::cli) fn with_steps(self, steps: Vec<String>) -> Self {
        Self { steps, ..self }
    }

    /// The lines after it.
    pub(in crate::cli) fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The words that fit where the person is.
    pub(in crate::cli) fn text(self, is_menu: bool) -> String {
        match self.menu {
            Some(menu) if is_menu => menu,
            _ => self.command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_menu_has_its_own_words_where_there_are_some() {
        let both = || Hint::from("run the same command again").in_menu("choose the same again");
        assert_eq!(both().text(true), "choose the same again");
        assert_eq!(both().text(false), "run the same command again");
        assert_eq!(Hint::from("ask its owner").text(true), "ask its owner");
    }
}
