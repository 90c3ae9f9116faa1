//! Names for the values of a graph that is traced.

use std::collections::{HashMap, HashSet};

/// Gives the values of a run names of their own, the same in every run: titles of nodes, numbered where they repeat.
#[derive(Debug, Default)]
pub struct Names {
    names: Vec<String>,
    taken: HashSet<String>,
    /// How often each title came up.
    titles: HashMap<String, usize>,
    next: usize,
}

impl Names {
    /// The name of the next value of the run, whose node has this title.
    pub fn next<'n>(&'n mut self, title: &'n str) -> &'n str {
        if self.next == self.names.len() {
            let number = self.titles.entry(title.to_owned()).or_default();
            *number += 1;
            let mut name = if *number == 1 { title.to_owned() } else { format!("{title} #{number}") };
            while !self.taken.insert(name.clone()) {
                *number += 1;
                name = format!("{title} #{number}");
            }
            self.names.push(name);
        }
        self.next += 1;
        self.names.get(self.next - 1).map_or(title, String::as_str)
    }

    /// Begins another run.
    pub fn rewind(&mut self) {
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn titles_that_repeat_are_numbered() {
        let mut names = Names::default();
        for _ in 0..2 {
            names.rewind();
            let given: Vec<String> = ["a", "b", "a", "a"].iter().map(|t| names.next(t).to_owned()).collect();
            assert_eq!(given, ["a", "b", "a #2", "a #3"]);
        }
    }
}
