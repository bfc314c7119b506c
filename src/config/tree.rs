//! YAML as a tree in which everything knows where it stands. Reads text; knows nothing of what it means.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};

use super::error::Problem;

/// A place in the file: line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A YAML value. Scalars stay as written: what they mean depends on the key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A scalar, unquoted.
    Plain(String),
    /// A quoted or block scalar: always text.
    Quoted(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in its order.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: String,
}

impl Node {
    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) | Value::Quoted(text) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The value of `name`, where this is a mapping that has it.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.entries().iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[(Key, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list; none for anything else.
    pub(super) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// Whether nothing is written: an empty plain scalar, `~` or `null`.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Plain(text) if matches!(text.as_str(), "" | "~" | "null"))
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Plain(_) | Value::Quoted(_) => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum(),
        }
    }
}

/// How deep a file may nest; the surface needs 8.
const DEEPEST: usize = 40;

/// How many values a file may have once its aliases are put in: an alias bomb ends here.
const LARGEST: usize = 50_000;

/// What is being built.
enum Open {
    List(Place, usize, Vec<Node>),
    Map(Place, usize, Vec<(Key, Node)>, Option<Key>),
}

/// The tree of `text`.
///
/// # Errors
/// The first problem: a syntax error, a second document, a key that is no text or stands twice, too much of anything.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Node> = HashMap::new();
    let mut root = None;
    let mut size = 0;
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| Problem::at(place(*error.marker()), format!("this is not YAML: {}", error.info())))?;
        let here = place(span.start);
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    return Err(Problem::at(here, "YAML tags (`!…`) mean nothing here"));
                }
                let text = text.into_owned();
                let value = if style == ScalarStyle::Plain { Value::Plain(text) } else { Value::Quoted(text) };
                (Node { place: here, value }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                open.push(Open::List(here, anchor, Vec::new()));
                deep_enough(&open, here)?;
                continue;
            }
            Event::MappingStart(_, anchor, _) => {
                open.push(Open::Map(here, anchor, Vec::new(), None));
                deep_enough(&open, here)?;
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(place, anchor, items)) => (Node { place, value: Value::List(items) }, anchor),
                Some(Open::Map(place, anchor, entries, _)) => (Node { place, value: Value::Map(entries) }, anchor),
                None => continue,
            },
            Event::Alias(id) => {
                let mut node = anchors.get(&id).cloned().ok_or_else(|| Problem::at(here, "this alias refers to itself"))?;
                size += node.size();
                node.place = here;
                (node, 0)
            }
            Event::DocumentStart(..) if root.is_some() => {
                return Err(Problem::at(here, "a second document begins here; one file holds one"));
            }
            _ => continue,
        };
        size += 1;
        if size > LARGEST {
            return Err(Problem::at(here, format!("more than {LARGEST} values; aliases multiply them")));
        }
        if anchor > 0 {
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            None => root = Some(node),
            Some(Open::List(_, _, items)) => items.push(node),
            Some(Open::Map(_, _, entries, key)) => match key.take() {
                None => *key = Some(as_key(node, entries)?),
                Some(key) => entries.push((key, node)),
            },
        }
    }
    root.ok_or_else(|| Problem::at(Place { line: 1, column: 1 }, "the file is empty"))
}

fn as_key(node: Node, entries: &[(Key, Node)]) -> Result<Key, Problem> {
    let place = node.place;
    let Some(name) = node.text().map(str::to_owned) else {
        return Err(Problem::at(place, "a key must be plain text"));
    };
    if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
        return Err(Problem::at(place, format!("`{name}` stands here for the second time; first on line {}", first.place.line)));
    }
    if name == "<<" {
        return Err(Problem::at(place, "merge keys (`<<`) are not supported; write the keys out, or use an alias for the whole value"));
    }
    Ok(Key { place, name })
}

fn deep_enough(open: &[Open], here: Place) -> Result<(), Problem> {
    if open.len() > DEEPEST { Err(Problem::at(here, format!("nested deeper than {DEEPEST} levels"))) } else { Ok(()) }
}

fn place(marker: granit_parser::Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}
