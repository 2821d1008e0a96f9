//! What is asked where nothing was told: a line each, with what an empty answer means.

use std::io::{BufRead, Write};

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;

use crate::args::{Arguments, Command, Generate, Starter};

/// Asks for starters, and for what these need.
///
/// # Errors
/// When the answers end before the questions do.
pub(super) fn ask(answers: &mut impl BufRead, screen: &mut impl Write) -> Result<Generate> {
    let mut asker = Asker { answers, screen };
    let mut plan = nothing_told()?;
    plan.namespace = Some(asker.text("The namespace", "default")?);
    for (starter, question, usual) in [
        (Starter::DefaultDeny, "Isolate all its pods, so that only what is allowed passes?", true),
        (Starter::Dns, "Let all of them resolve names?", true),
        (Starter::SameNamespace, "Let all of them reach each other?", false),
        (Starter::ThreeTier, "Has it three tiers: front end, back end, database?", false),
        (Starter::FromIngressController, "Let an ingress controller reach pods?", false),
        (Starter::FromMonitoring, "Let monitoring reach pods?", false),
    ] {
        if !asker.yes(question, usual)? {
            continue;
        }
        plan.starters.push(starter);
        match starter {
            Starter::ThreeTier => {
                plan.frontend = asker.text("  The front end, as LABELS:PORT", &plan.frontend)?;
                plan.backend = asker.text("  The back end", &plan.backend)?;
                plan.database = asker.text("  The database", &plan.database)?;
            }
            Starter::FromIngressController => {
                plan.ingress_controller = asker.text("  Its namespace", &plan.ingress_controller)?;
                plan.ingress_port = asker.some("  The port", "all")?.into_iter().collect();
            }
            Starter::FromMonitoring => {
                plan.monitoring = asker.text("  Its namespace", &plan.monitoring)?;
                plan.monitoring_port = asker.some("  The port", "all")?.into_iter().collect();
            }
            _ => {}
        }
    }
    if plan.starters.iter().any(|starter| matches!(starter, Starter::FromIngressController | Starter::FromMonitoring)) {
        plan.select = asker.some("The pods that these may reach, as LABELS", "all")?;
    }
    if plan.starters.is_empty() {
        bail!("nothing was asked for, so nothing is generated");
    }
    Ok(plan)
}

/// The arguments with their defaults.
fn nothing_told() -> Result<Generate> {
    match Arguments::try_parse_from(["palisade", "generate"]).map(|arguments| arguments.command) {
        Ok(Command::Generate(plan)) => Ok(plan),
        _ => bail!("`palisade generate` does not take its own defaults"),
    }
}

struct Asker<'a, R, W> {
    answers: &'a mut R,
    screen: &'a mut W,
}

impl<R: BufRead, W: Write> Asker<'_, R, W> {
    fn answer(&mut self, question: &str, usual: &str) -> Result<String> {
        write!(self.screen, "{question} [{usual}] ").and_then(|()| self.screen.flush()).context("cannot ask")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line).context("cannot read the answer")? == 0 {
            bail!("the answers ended before the questions did: nothing is generated");
        }
        Ok(line.trim().to_owned())
    }

    fn some(&mut self, question: &str, usual: &str) -> Result<Option<String>> {
        let answer = self.answer(question, usual)?;
        Ok(Some(answer).filter(|answer| !answer.is_empty() && answer != usual))
    }

    fn text(&mut self, question: &str, usual: &str) -> Result<String> {
        Ok(self.some(question, usual)?.unwrap_or_else(|| usual.to_owned()))
    }

    fn yes(&mut self, question: &str, usual: bool) -> Result<bool> {
        loop {
            match self.answer(question, if usual { "Y/n" } else { "y/N" })?.to_ascii_lowercase().as_str() {
                "" => return Ok(usual),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => writeln!(self.screen, "y or n").context("cannot ask")?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(answers: &str) -> Result<(Generate, String)> {
        let mut screen = Vec::new();
        let plan = ask(&mut answers.as_bytes(), &mut screen)?;
        Ok((plan, String::from_utf8(screen)?))
    }

    #[test]
    fn empty_answers_are_the_usual_ones() {
        let (plan, screen) = asked(&"\n".repeat(7)).unwrap();
        assert_eq!(plan.starters, [Starter::DefaultDeny, Starter::Dns]);
        assert_eq!(plan.namespace.as_deref(), Some("default"));
        assert!(screen.starts_with("The namespace [default] Isolate all its pods"), "{screen}");
    }

    #[test]
    fn answers_count() {
        let answers = "shop\nn\nperhaps\nno\nyes\ny\napp=web:80\n\n\nY\n\n8080\ny\nobservability\n\napp=web\n";
        let (plan, screen) = asked(answers).unwrap();
        assert!(screen.contains("y or n\n"), "{screen}");
        assert_eq!(
            plan.starters,
            [Starter::SameNamespace, Starter::ThreeTier, Starter::FromIngressController, Starter::FromMonitoring]
        );
        assert_eq!((plan.frontend.as_str(), plan.backend.as_str()), ("app=web:80", "app=backend:8080"));
        assert_eq!(
            (plan.ingress_controller.as_str(), plan.ingress_port.as_slice()),
            ("ingress-nginx", &["8080".to_owned()][..])
        );
        assert_eq!((plan.monitoring.as_str(), plan.monitoring_port.len()), ("observability", 0));
        assert_eq!(plan.select.as_deref(), Some("app=web"));
    }

    #[test]
    fn answers_that_end_or_want_nothing_generate_nothing() {
        assert!(asked("shop\ny\n").is_err() && asked("\nn\nn\n\n\n\n\n").is_err());
    }
}
