//! Compares the clauses of `docs/contract.md` with the names of the tests that passed: each clause has a test, and each test
//! that names a clause names one that there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::tools::{Outcome, root};

/// The systems that tests run on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// This one, where it is not Windows.
    Here,
    /// Windows itself, or Wine.
    Windows,
}

/// The clauses that were named by tests that passed, each with the systems and one of the tests.
#[derive(Default)]
pub struct Clauses(BTreeMap<String, (BTreeSet<System>, String)>);

impl Clauses {
    /// Notes a test that passed.
    pub fn passed(&mut self, test: &str, system: System) {
        for clause in named(test) {
            self.0.entry(clause).or_insert_with(|| (BTreeSet::new(), test.to_owned())).0.insert(system);
        }
    }

    /// Compares with the contract, and says how many clauses have a test.
    pub fn check(&self) -> Outcome<()> {
        let path = root().join("docs/contract.md");
        let page = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let clauses = contract(&page);
        let errors = self.errors(&clauses);
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        let on = |system| self.0.values().filter(|(systems, _)| systems.contains(&system)).count();
        println!(
            "\n{} clauses, all named by a test that passed ({} of them here, {} on Windows)",
            clauses.len(),
            on(System::Here),
            on(System::Windows)
        );
        Ok(())
    }

    fn errors(&self, contract: &[String]) -> Vec<String> {
        let mut errors = Vec::new();
        for clause in contract {
            if !self.0.contains_key(clause) {
                errors.push(format!("{clause}: no test that passed names this clause"));
            }
        }
        for (clause, (_, test)) in &self.0 {
            if !contract.contains(clause) {
                errors.push(format!("{test} names {clause}, which is no clause of docs/contract.md"));
            }
        }
        errors
    }
}

/// Finds the clauses of the contract: each begins a row of a table, as `| S6² |`.
fn contract(page: &str) -> Vec<String> {
    let cell =
        |line: &str| line.strip_prefix("| ")?.split_once(" |").map(|(cell, _)| cell.trim_end_matches('²').to_owned());
    page.lines().filter_map(cell).filter(|cell| clause(cell).is_some()).collect()
}

/// Finds the clauses that a test names: `session::s4_d8_a_process_ends`, `Tests.SessionTests.S1_E1_import(x: 1)`, `P2 S3 the import`.
fn named(test: &str) -> Vec<String> {
    let starts = std::iter::once(0).chain(test.match_indices([':', '.']).map(|(index, _)| index + 1));
    let names = starts.filter_map(|start| test.get(start..));
    let clauses = names.map(|name| name.split(['_', ' ']).map_while(clause).collect::<Vec<_>>());
    clauses.into_iter().find(|clauses| !clauses.is_empty()).unwrap_or_default()
}

/// Reads a clause: the letter of a section of the contract, and a number.
fn clause(word: &str) -> Option<String> {
    let (section, number) = word.split_at_checked(1)?;
    let is_clause = "SEICFLDAPT".contains(&section.to_ascii_uppercase()) && number.parse::<u8>().is_ok();
    is_clause.then(|| word.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_found_in_the_names_of_each_runner() {
        for (test, clauses) in [
            ("session::s4_d8_a_process_ends", vec!["S4", "D8"]),
            ("c13_the_policy", vec!["C13"]),
            ("Vms.Telemetry.Tests.SessionTests.S1_E1_import(text: \"a.P1 b\")", vec!["S1", "E1"]),
            ("P2 S3 the import says nothing", vec!["P2", "S3"]),
            ("Commands.P1 these tests have nothing that Windows PowerShell 5.1 lacks", vec!["P1"]),
            ("http::an_address", vec![]),
        ] {
            assert_eq!(named(test), clauses, "{test}");
        }
    }

    #[test]
    fn a_clause_without_a_test_and_a_test_without_a_clause_are_errors() {
        let contract = contract("| # | clause |\n|---|---|\n| S1 | One. |\n| S2² | Two. |\n| event | when |\n");
        assert_eq!(contract, ["S1", "S2"]);
        let mut clauses = Clauses::default();
        clauses.passed("s1_x", System::Here);
        assert_eq!(clauses.errors(&contract), ["S2: no test that passed names this clause"]);
        clauses.passed("s2_f9_x", System::Windows);
        assert_eq!(clauses.errors(&contract), ["s2_f9_x names F9, which is no clause of docs/contract.md"]);
    }
}
