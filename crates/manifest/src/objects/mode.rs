//! The annotation that says whether policies are enforced or audited.

use palisade_engine::model::Mode;

use crate::{
    check::near,
    context::Context,
    diagnostic::code,
    field::Field,
    yaml::{Value, View},
};

/// What an object says; a value that is no mode is reported, and taken to be `enforce`: a slip of the pen must not
/// open anything.
pub(crate) fn read(cx: &mut Context<'_>, root: &Field<'_>) -> Option<Mode> {
    let metadata = root.get("metadata")?;
    let annotations = metadata.get("annotations")?;
    // Null is a value, too: the server makes the empty text of it.
    let field = annotations.get_even_null(Mode::ANNOTATION)?;
    let text = match field.node.value() {
        Some(Value::String(text)) => text,
        _ => "",
    };
    let mode = Mode::parse(text);
    if mode.is_none() {
        let written = field.node.text().unwrap_or_default();
        let names = Mode::ALL.map(Mode::name);
        let meant = near::nearest(written, &names);
        let message = format!("`{written}` is no mode of `{}`: {}", Mode::ANNOTATION, names.join(" or "));
        let mut finding = cx.error(&field, message);
        finding.code = code::MODE.into();
        let label = meant.map_or_else(|| "taken to be `enforce`".to_owned(), |meant| format!("write `{meant}`"));
        let fix = meant.filter(|_| !matches!(field.node.view(), View::Mapping(_) | View::Sequence(_)));
        let fix = fix.and_then(|meant| cx.write(field.node, meant, false));
        let finding = finding.label(label).fix(fix);
        cx.report_harmless(finding.help("as long as it is no mode, the policies that it is about are enforced"));
    }
    Some(mode.unwrap_or_default())
}
