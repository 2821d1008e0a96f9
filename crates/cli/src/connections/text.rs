//! The answer as a person reads it: a table, then what is not in it.

use palisade_engine::{
    Connections, PolicyProgram,
    connections::EndSet,
    model::{Cluster, Direction},
};

use super::{
    names::Namer,
    table::{Asked, Open, Row, Table},
};
use crate::{
    input::Excerpts,
    screen::{FAINT, hanging, shortened, styled},
};

/// How many peers that select nobody are listed.
const UNMATCHED_SHOWN: usize = 8;

/// Draws tables.
pub(crate) struct Printer<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) program: &'a PolicyProgram,
    pub(crate) connections: &'a Connections,
    pub(crate) from: Namer<'a>,
    pub(crate) to: Namer<'a>,
    pub(crate) excerpts: &'a Excerpts,
    pub(crate) width: usize,
}

impl Printer<'_> {
    /// The whole answer; `open` when what nobody is isolated from was folded out of the table.
    pub(crate) fn print(&self, table: &Table, asked: &Asked, open: Option<&Open>) -> String {
        let mut text = self.rows(&table.rows, if asked.denied { "DENIED" } else { "PORTS" });
        if table.rows.is_empty() {
            let nothing = match (asked.denied, open) {
                (true, _) => "Nothing is denied.",
                (false, None) => "Nothing is allowed.",
                (false, Some(_)) => "No rule allows anything to anyone of the input.",
            };
            text = format!("{nothing}\n");
        }
        if asked.denied && !table.rows.is_empty() {
            let note = hanging("", "(a pod always reaches itself and its own node)", 0, self.width);
            text.push_str(&format!("\n{}\n", styled(FAINT, &note)));
        }
        if let Some(open) = open {
            text.push('\n');
            text.push_str(&self.isolation(open));
        }
        if !table.undecided.is_empty() {
            let lead = "Not certain: only an address that is not known yet would tell.";
            text.push_str(&format!("\n{}\n", hanging("", lead, 0, self.width)));
            text.push_str(&self.rows(&table.undecided, "PORTS"));
        }
        if !table.unmatched.is_empty() && !asked.denied {
            text.push_str(&self.unmatched(table));
        }
        if !table.without_pods.is_empty() {
            let names = shortened(&table.without_pods, ", ", UNMATCHED_SHOWN);
            text.push_str(&format!("\n{}\n", hanging("Without pods, so in no row: ", &names, 2, self.width)));
        }
        text
    }

    /// A table of three columns that is never wider than the terminal.
    fn rows(&self, rows: &[Row], title: &str) -> String {
        let mut cells: Vec<[String; 3]> = vec![["FROM".to_owned(), "TO".to_owned(), title.to_owned()]];
        for row in rows {
            cells.push([self.line(&self.from, &row.from), self.line(&self.to, &row.to), traffic(row)]);
        }
        if rows.is_empty() {
            return String::new();
        }
        columns(&cells, self.width)
    }

    fn line(&self, namer: &Namer<'_>, set: &EndSet) -> String {
        namer.line(&namer.groups.name(self.connections, set))
    }

    /// Who is not isolated, and who is and is allowed nothing.
    fn isolation(&self, open: &Open) -> String {
        let pods = self.connections.ends().pods();
        let (egress, ingress) = (&open.egress & pods, &open.ingress & pods);
        let both = &egress & &ingress;
        let mut text = String::new();
        let mut say = |lead: &str, set: &EndSet| {
            if !set.is_empty() {
                text.push_str(&hanging(lead, &self.line(&self.from, set), 2, self.width));
                text.push('\n');
            }
        };
        say("Not isolated: ", &both);
        say("Not isolated for egress only: ", &(&egress - &both));
        say("Not isolated for ingress only: ", &(&ingress - &both));
        say("Isolated for egress and allowed none: ", &self.allowed_nothing(Direction::Egress));
        say("Isolated for ingress and allowed none: ", &self.allowed_nothing(Direction::Ingress));
        if !egress.is_empty() {
            let note = "(who is not isolated for egress reaches, on everything, the outside and all who are not isolated \
                        for ingress; a pod always reaches itself and its own node)";
            text.push_str(&styled(FAINT, &hanging("", note, 0, self.width)));
            text.push('\n');
        }
        text
    }

    /// The pods that have no rule at all for a direction that isolates them.
    fn allowed_nothing(&self, direction: Direction) -> EndSet {
        let without = self.program.identities().filter(|(id, _)| {
            let profile = self.program.profile(self.program.profile_of(*id, direction));
            !profile.is_open() && profile.tiers.iter().all(|tier| tier.rules.is_empty())
        });
        without.map(|(id, _)| self.connections.ends().of_identity(id).number()).collect()
    }

    /// Rules about pods that are not there.
    fn unmatched(&self, table: &Table) -> String {
        let mut text = format!("\n{}\n", hanging("", "No pod of the input is meant by:", 0, self.width));
        for unmatched in table.unmatched.iter().take(UNMATCHED_SHOWN) {
            let origin = self.program.rule(unmatched.rule).origin;
            let at = self.cluster.rule_at(origin.policy, origin.direction, origin.index);
            let place = at.map_or_else(String::new, |at| {
                format!("{}:{}  ", self.excerpts.short(self.cluster.sources().name(at.file)), at.start.line)
            });
            let line = format!(
                "{place}{} {}[{}]  {}",
                self.cluster.policy_name(origin.policy),
                origin.direction,
                origin.index,
                readable(&unmatched.selector)
            );
            text.push_str(&format!("{}\n", hanging("  ", &line, 4, self.width)));
        }
        let rest = table.unmatched.len().saturating_sub(UNMATCHED_SHOWN);
        if rest > 0 {
            text.push_str(&format!("  and {rest} more (-o json has them all)\n"));
        }
        text
    }
}

/// `TCP 80, 443`, with what limits it.
pub(crate) fn traffic(row: &Row) -> String {
    let mut text = row.traffic.to_string();
    if let Some(family) = row.family {
        text.push_str(&format!(" over {family}"));
    }
    if row.partial {
        text.push_str(" (some pods)");
    }
    text
}

/// `[team=a]/app=web` in words.
pub(crate) fn readable(selector: &str) -> String {
    let (namespaces, pods) = selector
        .rsplit_once("]/")
        .map_or_else(|| selector.split_once('/').unwrap_or((selector, "")), |(namespaces, pods)| (namespaces, pods));
    let pods = if pods.is_empty() { "any pod".to_owned() } else { format!("pods {pods}") };
    match namespaces.strip_prefix('[') {
        Some("") => format!("{pods} of any namespace"),
        Some(labels) => format!("{pods} of namespaces {labels}"),
        None => format!("{pods} of namespace {namespaces}"),
    }
}

/// Cells in columns; a cell that is too wide goes on below.
pub(crate) fn columns(rows: &[[String; 3]], width: usize) -> String {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let gaps = 4;
    let room = width.saturating_sub(gaps);
    let mut wanted = [widest(0), widest(1), widest(2)];
    // The widest gives way until all three have room, as far as that makes sense.
    while wanted.iter().sum::<usize>() > room {
        let Some(most) = wanted.iter_mut().max() else { break };
        if *most <= 12 {
            break;
        }
        *most -= 1;
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<Vec<String>> = row.iter().zip(wanted).map(|(cell, width)| wrapped(cell, width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            let mut out = String::new();
            for (cell, width) in cells.iter().zip(wanted) {
                let part = cell.get(line).map_or("", String::as_str);
                out.push_str(part);
                out.push_str(&" ".repeat(width.saturating_sub(part.chars().count()) + 2));
            }
            text.push_str(out.trim_end());
            text.push('\n');
        }
    }
    text
}

fn wrapped(cell: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width)
        .subsequent_indent("  ")
        .break_words(true)
        .word_separator(textwrap::WordSeparator::Custom(|line| {
            // Names in braces may part after a comma, too.
            let mut words = Vec::new();
            let mut rest = line;
            while let Some(at) = rest.find([' ', ',']) {
                let end =
                    at + 1 + rest.get(at + 1..).map_or(0, |after| after.len() - after.trim_start_matches(' ').len());
                let (word, after) = rest.split_at(end);
                words.push(textwrap::core::Word::from(word));
                rest = after;
            }
            if !rest.is_empty() {
                words.push(textwrap::core::Word::from(rest));
            }
            Box::new(words.into_iter())
        }))
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(cell, options).into_iter().map(|line| line.into_owned()).collect()
}
