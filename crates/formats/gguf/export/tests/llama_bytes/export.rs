//! From a checkpoint to files in memory.

use crate::cases::Case;
use lfmq_checkpoint::Checkpoint;
use lfmq_core::{ExportJob, ExportPlan, Exporter, Fault, Silent, Sink};
use lfmq_gguf_export::GgufExporter;
use lfmq_quant::{Importance, Recipe, quantize};
use lfmq_testkit::kit::{self, Kind};
use lfmq_testkit::sink::Counting;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

/// Checkpoints, each made once.
pub struct Bench {
    folder: tempfile::TempDir,
    open: RefCell<HashMap<Kind, Rc<Checkpoint>>>,
}

impl Default for Bench {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), open: RefCell::default() }
    }
}

impl Bench {
    pub fn checkpoint(&self, kind: Kind) -> Rc<Checkpoint> {
        let open = || Rc::new(Checkpoint::open(&kit::write(self.folder.path(), kind).unwrap()).unwrap());
        Rc::clone(self.open.borrow_mut().entry(kind).or_insert_with(open))
    }

    /// The files of `case` with the paths of their goldens.
    pub fn export(&self, case: &Case) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let source = self.checkpoint(case.kind);
        let mut recipe = Recipe::named(case.recipe)?;
        case.set.iter().try_for_each(|set| recipe.set(set))?;
        let importance = case.importance().map(|bytes| Importance::parse(&bytes)).transpose()?;
        let mut plan = lfmq_quant::plan(&*source, &recipe, importance.as_ref())?;
        if let Some(found) = &mut plan.importance {
            found.file = case.importance_path();
        }
        let stem = Path::new(&case.path).file_stem().unwrap().to_str().unwrap();
        let exporter = GgufExporter { options: case.options.clone() };
        let export = exporter.plan(&ExportJob { source: &*source, plan: &plan, stem })?;
        let memory = Counting::of(&*export);
        export.write_frame(&memory)?;
        let outputs: [(&dyn ExportPlan, &dyn Sink); 1] = [(&*export, &memory)];
        let (done, finished) = (|_| false, |_| Ok(()));
        quantize(&*source, &plan, importance.as_ref(), &outputs, &done, &finished, 1 << 28, &Silent)?;
        let folder = case.path.split('/').next().unwrap();
        let names = export.files().iter().map(|f| format!("{folder}/{}", f.name));
        Ok(names.zip(memory.once()).collect())
    }
}
