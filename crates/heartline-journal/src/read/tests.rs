use super::*;
use crate::open;

/// How `SQLite` goes about it.
fn plan(connection: &Connection, query: &str) -> Vec<String> {
    let mut query = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {query}"))
        .unwrap();
    let steps = query.raw_query().mapped(|row| row.get(3));
    steps.collect::<Result<_, _>>().unwrap()
}

#[test]
fn days_are_found_from_their_subject_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let Ok(connection) = open::open(&path, BUSY) else {
        panic!("no journal")
    };
    for (of_node, with_lines) in [(true, true), (true, false), (false, true), (false, false)] {
        let steps = plan(&connection, &which_days(of_node, with_lines));
        let by_key = "SEARCH uptime USING PRIMARY KEY (subject=? AND day>?)";
        assert_eq!(steps[1], by_key, "{steps:?}");
        let is_search = steps[0].starts_with("SEARCH subject USING COVERING INDEX");
        assert_eq!(is_search, of_node, "{steps:?}");
    }
}

#[test]
fn days_are_those_that_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let Ok(connection) = open::open(&path, BUSY) else {
        panic!("no journal")
    };
    connection
        .execute_batch(
            "INSERT INTO subject VALUES (1, 'b', ''), (2, 'b', 'eth0'), (3, 'a', '');
             INSERT INTO uptime VALUES (1, 7, 1, 0, 0, 0, 0, 0), (1, 8, 2, 0, 0, 0, 0, 0),
             (2, 8, 3, 0, 0, 0, 0, 0), (3, 8, 4, 0, 0, 0, 0, 0);",
        )
        .unwrap();
    let reader = Reader::open(&path).unwrap();
    let up = |since, node, with_lines| -> Vec<u64> {
        let days = reader.days(since, node, with_lines).unwrap();
        days.iter().map(|day| day.times.0[0]).collect()
    };
    assert_eq!(up(0, None, true), [4, 1, 2, 3]);
    assert_eq!(up(0, None, false), [4, 1, 2]);
    assert_eq!(up(8, Some("b"), true), [2, 3]);
    assert_eq!(up(7, Some("b"), false), [1, 2]);
    assert!(up(0, Some("c"), true).is_empty());
}
