//! The answer for programs.

use serde::Serialize;

use super::{
    rows::{Row, Rows},
    text::place,
};
use crate::{connections::TrafficData, input::Read};

/// What JSON says.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    /// Whether nothing more may differ, whatever addresses pods come to have.
    certain: bool,
    gained: Vec<RowData>,
    lost: Vec<RowData>,
}

#[derive(Debug, Serialize)]
struct RowData {
    from: Vec<String>,
    to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<String>,
    #[serde(flatten)]
    traffic: TrafficData,
    causes: Vec<CauseData>,
}

#[derive(Debug, Serialize)]
struct CauseData {
    what: String,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

/// The whole answer.
pub(crate) fn answer(rows: &Rows, old: &Read, new: &Read) -> Answer {
    let data = |list: &[Row]| {
        let rows = list.iter().map(|row| RowData {
            from: row.from.clone(),
            to: row.to.clone(),
            family: row.family.map(|family| family.to_string()),
            traffic: (&row.traffic).into(),
            causes: row.causes.iter().map(|cause| of_cause(cause, old, new)).collect(),
        });
        rows.collect()
    };
    Answer { certain: rows.is_certain, gained: data(&rows.gained), lost: data(&rows.lost) }
}

fn of_cause(cause: &super::causes::Cause, old: &Read, new: &Read) -> CauseData {
    let (file, line) = place(cause, old, new).unzip();
    CauseData { what: cause.what.key().to_owned(), subject: cause.subject.clone(), file, line }
}
