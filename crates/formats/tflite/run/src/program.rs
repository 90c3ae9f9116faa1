//! Programs: subgraphs made ready, every value in a slot for as long as it lives. One program may call others; those
//! that may run at once have memory of their own, the rest share it.

use crate::RunError;
use crate::operators::{Inputs, Place, View};
use crate::tensor::{Buffer, Class};
use std::path::PathBuf;
use std::sync::Arc;

/// A subgraph as a list of steps.
pub(crate) struct Program {
    pub steps: Vec<Step>,
    /// Slots of each class.
    pub slots: [usize; CLASSES],
    pub inputs: Vec<View>,
    pub outputs: Vec<View>,
    /// Programs that call this one, one inside the other, at most.
    pub level: usize,
}

/// Number of [`Class`]es.
pub(crate) const CLASSES: usize = 5;

pub(crate) struct Step {
    pub title: String,
    pub operator: &'static str,
    pub views: Vec<View>,
    pub outputs: Vec<Output>,
    /// The operand that output 0 lies over.
    pub over: Option<usize>,
    /// If output 1 are places of the greatest of each row: how many of a row.
    pub chooses: Option<usize>,
    pub work: Doing,
}

/// Is shown what every step of a program gives: the step, which of its outputs, and the output. What programs that it
/// calls do in between is theirs.
pub(crate) type Look<'l> = &'l mut dyn FnMut(&Step, usize, &Buffer);

/// Where an output goes and how long it is.
pub(crate) struct Output {
    pub place: Place,
    pub len: usize,
}

pub(crate) enum Doing {
    Run(crate::operators::Run),
    /// View 0 tells which of two programs runs on the other views.
    Branch {
        then: usize,
        otherwise: usize,
    },
}

/// All programs of a file.
pub(crate) struct Programs {
    pub path: PathBuf,
    pub all: Vec<Program>,
    pub constants: Vec<Arc<Buffer>>,
}

/// What programs run in.
#[derive(Default)]
pub(crate) struct Memory {
    levels: Vec<Level>,
    pub states: Vec<Buffer>,
    /// The outputs of the step that runs, kept for their room.
    outputs: Vec<Buffer>,
}

#[derive(Default)]
struct Level([Vec<Buffer>; CLASSES]);

impl Level {
    fn slot(&mut self, class: Class, index: usize) -> Option<&mut Buffer> {
        self.0.get_mut(class as usize)?.get_mut(index)
    }
}

impl Memory {
    /// Room for `programs`; buffers grow when they are first used.
    pub fn new(programs: &Programs, states: Vec<Buffer>) -> Self {
        let deepest = programs.all.iter().map(|p| p.level + 1).max().unwrap_or(0);
        let mut levels: Vec<Level> = Vec::new();
        levels.resize_with(deepest, Level::default);
        for program in &programs.all {
            let Some(level) = levels.get_mut(program.level) else { continue };
            for ((class, slots), count) in CLASS.iter().zip(&mut level.0).zip(program.slots) {
                if slots.len() < count {
                    slots.resize_with(count, || class.empty());
                }
            }
        }
        Self { levels, states, outputs: Vec::new() }
    }

    /// The buffer at `place` of the programs of `level`.
    pub fn at(&mut self, level: usize, place: Place) -> Option<&mut Buffer> {
        match place {
            Place::Slot(class, index) => self.levels.get_mut(level)?.slot(class, index),
            Place::State(index) => self.states.get_mut(index),
            Place::Constant(_) => None,
        }
    }
}

const CLASS: [Class; CLASSES] = [Class::F32, Class::I32, Class::I64, Class::Bytes, Class::Acts];

/// What only a mistake of the planner could bring about, in words.
const LOST: &str = "a value has no place";

impl Programs {
    /// Runs program `index` on what its inputs have.
    ///
    /// # Errors
    /// The first node that cannot do its work.
    pub fn run(&self, index: usize, memory: &mut Memory, look: Look<'_>) -> Result<(), RunError> {
        let Some(program) = self.all.get(index) else { return Err(self.graph(LOST)) };
        for step in &program.steps {
            let done = match &step.work {
                Doing::Run(run) => self.step(program, step, run, memory),
                Doing::Branch { then, otherwise } => {
                    let callee = self.choose(program, step, memory).map(|yes| if yes { *then } else { *otherwise });
                    match callee {
                        Ok(callee) => self.call(program, step, callee, memory)?,
                        Err(why) => Err(why),
                    }
                }
            };
            done.map_err(|why| RunError::Node {
                path: self.path.clone(),
                node: step.title.clone(),
                operator: step.operator.to_owned(),
                why,
            })?;
            for (k, output) in step.outputs.iter().enumerate() {
                if let Some(buffer) = memory.at(program.level, output.place) {
                    look(step, k, buffer);
                }
            }
        }
        Ok(())
    }

    fn graph(&self, why: &str) -> RunError {
        RunError::Graph { path: self.path.clone(), why: why.to_owned() }
    }

    fn step(
        &self,
        program: &Program,
        step: &Step,
        run: &crate::operators::Run,
        memory: &mut Memory,
    ) -> Result<(), String> {
        let mut outputs = std::mem::take(&mut memory.outputs);
        for output in &step.outputs {
            let place = memory.at(program.level, output.place).ok_or(LOST)?;
            let mut buffer = std::mem::replace(place, Buffer::Bytes(Vec::new()));
            buffer.at_least(output.len);
            outputs.push(buffer);
        }
        let slots = memory.levels.get(program.level).map(|l| &l.0).ok_or(LOST)?;
        let inputs =
            Inputs { views: &step.views, slots, states: &memory.states, constants: &self.constants, over: step.over };
        let done = run(&inputs, &mut outputs);
        for (output, buffer) in step.outputs.iter().zip(outputs.drain(..)) {
            *memory.at(program.level, output.place).ok_or(LOST)? = buffer;
        }
        memory.outputs = outputs;
        done
    }

    /// The condition of a branch.
    fn choose(&self, program: &Program, step: &Step, memory: &mut Memory) -> Result<bool, String> {
        let slots = memory.levels.get(program.level).map(|l| &l.0).ok_or(LOST)?;
        let (states, constants) = (&memory.states, &self.constants);
        let inputs = Inputs { views: &step.views, slots, states, constants, over: None };
        Ok(inputs.bytes(0)?.first().is_some_and(|b| *b != 0))
    }

    /// Runs `callee` on the views of `step` from 1 on. Whole buffers are lent rather than copied: programs that are
    /// called never write over their inputs.
    fn call(
        &self,
        caller: &Program,
        step: &Step,
        callee: usize,
        memory: &mut Memory,
    ) -> Result<Result<(), String>, RunError> {
        let index = callee;
        let Some(callee) = self.all.get(callee) else { return Err(self.graph(LOST)) };
        let passes = callee.outputs.iter().all(|view| callee.inputs.contains(view));
        let views = step.views.get(1..).unwrap_or_default();
        let mut lent = Vec::new();
        if !passes {
            for (i, (from, to)) in views.iter().zip(&callee.inputs).enumerate() {
                let again = views.get(..i).is_some_and(|before| before.iter().any(|v| v.place == from.place));
                if from.start == 0 && matches!(from.place, Place::Slot(..)) && !again {
                    lent.push((*from, *to));
                } else if let Err(why) = self.copy((caller.level, *from), (callee.level, *to), memory) {
                    return Ok(Err(why));
                }
            }
            lent.iter().for_each(|(from, to)| swap((caller.level, from.place), (callee.level, to.place), memory));
            let done = self.run(index, memory, &mut |_, _, _| ());
            lent.iter().for_each(|(from, to)| swap((caller.level, from.place), (callee.level, to.place), memory));
            done?;
        }
        for (k, (output, view)) in step.outputs.iter().zip(&callee.outputs).enumerate() {
            let own = matches!(view.place, Place::Slot(..)) && !callee.inputs.iter().any(|i| i.place == view.place);
            let to = View { place: output.place, start: 0, len: output.len };
            let passed = callee.inputs.iter().position(|input| input == view).and_then(|i| Some((i, *views.get(i)?)));
            let done = match passed {
                Some((i, _)) if k == 0 && step.over == Some(i + 1) => Ok(()),
                Some((_, from)) => self.copy((caller.level, from), (caller.level, to), memory),
                None if own && view.start == 0 => {
                    swap((callee.level, view.place), (caller.level, output.place), memory);
                    Ok(())
                }
                None => self.copy((callee.level, *view), (caller.level, to), memory),
            };
            if done.is_err() {
                return Ok(done);
            }
        }
        Ok(Ok(()))
    }

    /// Copies a view to the front of another place.
    pub fn copy(&self, from: (usize, View), to: (usize, View), memory: &mut Memory) -> Result<(), String> {
        let ((from_level, from), (to_level, to)) = (from, to);
        let mut target = std::mem::replace(memory.at(to_level, to.place).ok_or(LOST)?, Buffer::Bytes(Vec::new()));
        let source = match from.place {
            Place::Constant(i) => self.constants.get(i).map(|b| &**b),
            place => memory.at(from_level, place).map(|b| &*b),
        };
        let done = source.ok_or_else(|| LOST.to_owned()).and_then(|s| target.copy_from(s, from.start, from.len));
        *memory.at(to_level, to.place).ok_or(LOST)? = target;
        done
    }
}

fn swap(a: (usize, Place), b: (usize, Place), memory: &mut Memory) {
    let Some(mine) = memory.at(a.0, a.1).map(|x| std::mem::replace(x, Buffer::Bytes(Vec::new()))) else { return };
    let theirs = memory.at(b.0, b.1).map(|x| std::mem::replace(x, mine));
    if let (Some(theirs), Some(place)) = (theirs, memory.at(a.0, a.1)) {
        *place = theirs;
    }
}
