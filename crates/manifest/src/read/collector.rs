//! Texts that come one by one, read into one inventory: the objects of a live cluster.

use super::{ReadOptions, Reader, Reading, list::Before, presentable};
use crate::{interner::Interner, texts::Lines};

/// After so many readings taken away, names are shared anew: those of objects that are long gone do not
/// stay for ever, and a cluster is listed at least once before.
const SHARED_FOR: usize = 1 << 17;

/// Reads texts as they come; what came last can be taken back.
pub struct Collector<'o> {
    reader: Reader<'o>,
    /// How often a reading was taken since names are shared.
    taken: usize,
}

/// How much a [`Collector`] had read at one moment.
pub struct Mark(Before);

/// Whether the text of an input is kept, for excerpts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is.
    Always,
    /// Only if something was found in it: of 100,000 pods nobody will ask for a line.
    IfFaulty,
}

impl<'o> Collector<'o> {
    /// Nothing read yet.
    pub fn new(options: &'o ReadOptions) -> Self {
        Self { reader: Reader::new(options), taken: 0 }
    }

    /// Reads the documents of a text that is no file; `name` is what findings call it.
    pub fn read(&mut self, name: &str, text: String, keep: Keep) {
        let found = self.reading().diagnostics.len();
        let file = self.reader.reading.inventory.sources.add(name);
        self.reader.documents(file, &Lines::new(&text));
        if keep == Keep::Always || self.reading().diagnostics.len() > found {
            self.reader.reading.texts.keep(file, text);
        }
    }

    /// What was read so far.
    pub fn reading(&self) -> &Reading {
        &self.reader.reading
    }

    /// Remembers how much was read.
    pub fn mark(&self) -> Mark {
        Mark(self.reader.before())
    }

    /// Takes back what was read since `mark`. The names of those inputs stay; nothing points at them.
    pub fn back_to(&mut self, mark: Mark) {
        self.reader.restore(mark.0);
    }

    /// All that was read, and begins with nothing: for objects that come one by one, for months. Equal
    /// names stay one copy from reading to reading; that there was no object is no error.
    pub fn take(&mut self) -> Reading {
        let mut names = std::mem::take(&mut self.reader.names);
        self.taken += 1;
        if self.taken >= SHARED_FOR {
            (names, self.taken) = (Interner::default(), 0);
        }
        let next = Reader { names, ..Reader::new(self.reader.options) };
        let mut reading = std::mem::replace(&mut self.reader, next).reading;
        reading.diagnostics.iter_mut().for_each(presentable);
        reading
    }

    /// All that was read; texts without any object are an error, as they are for files.
    pub fn finish(self) -> Reading {
        self.reader.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: NAME, namespace: a}}";

    #[test]
    fn what_is_taken_back_is_as_if_never_read() {
        let options = ReadOptions::default();
        let mut collector = Collector::new(&options);
        collector.read("pods/a/one", POD.replace("NAME", "one"), Keep::Always);
        let mark = collector.mark();
        collector.read("pods/a/two", POD.replace("NAME", "two"), Keep::IfFaulty);
        collector.read("pods/a/bad", POD.replace("NAME", "[]"), Keep::IfFaulty);
        assert!(collector.reading().has_errors());
        collector.back_to(mark);
        collector.read("pods/a/two", POD.replace("NAME", "two"), Keep::IfFaulty);
        let reading = collector.finish();
        let names: Vec<String> = reading.inventory.pods.iter().map(|pod| pod.id.to_string()).collect();
        assert_eq!(names, ["a/one", "a/two"]);
        assert!(!reading.has_errors());
        let spans = reading.inventory.pods.iter().map(|pod| pod.at.unwrap());
        let sources = &reading.inventory.sources;
        let kept: Vec<_> = spans.map(|at| (sources.name(at.file), reading.texts.get(at.file).is_some())).collect();
        assert_eq!(kept, [("pods/a/one", true), ("pods/a/two", false)]);
    }

    #[test]
    fn what_is_taken_stands_alone_and_shares_its_names() {
        let options = ReadOptions::default();
        let mut collector = Collector::new(&options);
        collector.read("one", POD.replace("NAME", "one"), Keep::IfFaulty);
        let one = collector.take();
        collector.read("bad", POD.replace("NAME", "[]"), Keep::IfFaulty);
        let bad = collector.take();
        assert!(bad.has_errors() && bad.inventory.pods.is_empty());
        collector.read("two", POD.replace("NAME", "two"), Keep::IfFaulty);
        let two = collector.take();
        assert!(!two.has_errors());
        let ids = [&one, &two].map(|reading| reading.inventory.pods[0].id.clone());
        assert_eq!(ids.clone().map(|id| id.to_string()), ["a/one", "a/two"]);
        assert!(std::ptr::eq(ids[0].namespace.as_str(), ids[1].namespace.as_str()));
        assert_eq!(two.inventory.sources.iter().count(), 1);
        assert!(collector.take().diagnostics.is_empty());
    }

    #[test]
    fn a_text_with_a_finding_is_kept() {
        let options = ReadOptions::default();
        let mut collector = Collector::new(&options);
        collector.read("pods/a/bad", POD.replace("NAME", "[]"), Keep::IfFaulty);
        let reading = collector.finish();
        let place = reading.diagnostics[0].primary.as_ref().unwrap().span;
        assert!(reading.texts.get(place.file).is_some());
    }
}
