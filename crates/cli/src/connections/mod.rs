//! `palisade connections`: all that is allowed, exact and grouped.

mod data;
mod exposed;
mod graph;
mod html;
mod names;
mod svg;
mod table;
mod text;

use std::process::ExitCode;

use anyhow::{Result, bail};
use palisade_engine::{
    Connections,
    connections::EndSet,
    model::{PortRange, Protocol},
    sets::TrafficSet,
};

pub(crate) use self::{data::TrafficData, names::Namer, text::columns};
use self::{
    data::Writer,
    exposed::Exposure,
    graph::{Graph, RowText, markdown},
    html::Page,
    table::{Asked, Open, Row, Table, groups},
    text::Printer,
};
use crate::{
    args::{ConnectionsArguments, ConnectionsFormat},
    endpoint::{PortName, Resolver, Selection, parse_port},
    input, screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &ConnectionsArguments) -> Result<ExitCode> {
    input::once_from_stdin(&arguments.input, None)?;
    let read = input::cluster_with_pods(&arguments.input)?;
    let cluster = &read.cluster;
    let resolver = Resolver { cluster, namespace: &read.namespace };
    let end = |text: &Option<String>| text.as_ref().map(|text| Selection::parse(&resolver, text)).transpose();
    let asked = Asked {
        by: arguments.by.into(),
        denied: arguments.denied,
        from: end(&arguments.from)?,
        to: end(&arguments.to)?,
        within: within(&arguments.port)?,
    };
    let program = arguments.audited.compile(cluster);
    let cuts = [&asked.from, &asked.to].into_iter().flatten().map(|selection| &selection.outside);
    let connections = Connections::cut(cluster, &program, cuts);
    let (from, to) = groups(cluster, &program, &asked);
    let (from, to) = (Namer::new(cluster, &from), Namer::new(cluster, &to));
    if arguments.exposed {
        let only = asked.to.as_ref().map(|selection| selection.ends(&connections, &program));
        let exposure = Exposure::new(cluster, &program, &connections, only.as_ref(), asked.within.as_ref());
        match arguments.output {
            ConnectionsFormat::Json => screen::out_json(&exposure.data(&connections, &to))?,
            ConnectionsFormat::Text => screen::out(&exposure.text(&connections, &to, screen::width()))?,
            _ => bail!("--exposed has the forms text and json"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(cluster, &program, &connections, &asked);
    let open = asked.is_everything().then(|| Open::new(&connections, &program));
    let (program, connections) = (&program, &connections);
    match arguments.output {
        ConnectionsFormat::Json => {
            let writer = Writer { cluster, program, connections, from, to };
            screen::out_json(&writer.answer(&table))?;
        }
        ConnectionsFormat::Csv => {
            let writer = Writer { cluster, program, connections, from, to };
            screen::out_bytes(writer.csv(&table).as_bytes())?;
        }
        ConnectionsFormat::Text => {
            if let Some(open) = &open {
                table.fold(open);
            }
            let excerpts = &read.excerpts;
            let printer = Printer { cluster, program, connections, from, to, excerpts, width: screen::width() };
            screen::out(&printer.print(&table, &asked, open.as_ref()))?;
        }
        ConnectionsFormat::Md => {
            let texts = |namer: &Namer<'_>, set: &EndSet| namer.texts(&namer.groups.name(connections, set));
            let in_words = |row: &Row| RowText {
                from: texts(&from, &row.from),
                to: texts(&to, &row.to),
                traffic: text::traffic(row),
            };
            let rows: Vec<RowText> = table.rows.iter().map(in_words).collect();
            screen::out_bytes(markdown(&rows, if asked.denied { "Denied" } else { "Ports" }).as_bytes())?;
        }
        ConnectionsFormat::Dot | ConnectionsFormat::Mermaid | ConnectionsFormat::Svg => {
            if let Some(open) = &open {
                table.fold(open);
            }
            let graph = Graph::new(connections, (&from, &to), &table.rows)?;
            let text = match arguments.output {
                ConnectionsFormat::Dot => graph.dot(),
                ConnectionsFormat::Mermaid => graph.mermaid(),
                _ => svg::picture(&graph, open.is_some()),
            };
            screen::out_bytes(text.as_bytes())?;
        }
        ConnectionsFormat::Html => {
            let Some(open) = &open else {
                bail!(
                    "the page holds everything and has a search of its own: leave out --from, --to, --port and --denied"
                )
            };
            table.fold(open);
            let excerpts = &read.excerpts;
            let page = Page { cluster, program, connections, namer: &from, excerpts, table: &table };
            screen::out_bytes(page.html()?.as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The traffic that `--port` asks for.
fn within(ports: &[String]) -> Result<Option<TrafficSet>> {
    if ports.is_empty() {
        return Ok(None);
    }
    let mut within = TrafficSet::empty();
    for text in ports {
        let set = match parse_port(text)? {
            PortName::Number(port, protocol) => TrafficSet::ports(protocol, PortRange::single(port)),
            PortName::Icmp => Protocol::ALL.into_iter().fold(TrafficSet::all(), |rest, protocol| {
                rest.difference(&TrafficSet::ports(protocol, PortRange::ALL))
            }),
            PortName::Named(name, _) => {
                bail!("`{name}` is another port at each pod: give its number, as in --port 8080 or --port 53/udp")
            }
        };
        within = within.union(&set);
    }
    Ok(Some(within))
}
