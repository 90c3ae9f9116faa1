//! Where each value of a program lies, and for how long: the memory is planned once, when the file is opened.

use crate::draft::{Draft, Draw, Lowered, Root, Value};
use crate::operators::{Hint, Place, View};
use crate::program::{CLASSES, Doing, Output, Program, Step};
use crate::tensor::{Class, Why};
use std::collections::HashMap;

/// Elements of all values that live in one program at once, at most.
const ROOM: usize = 1 << 31;

struct Slots {
    /// Where each root lies, once it does.
    given: Vec<Option<Place>>,
    /// The last step that reads each root; `usize::MAX` for what must stay.
    last: Vec<usize>,
    free: [Vec<usize>; CLASSES],
    count: [usize; CLASSES],
    /// The longest value of each slot.
    room: HashMap<(Class, usize), usize>,
}

/// Makes the program. A program that is `called` never writes over its inputs.
pub(crate) fn place(lowered: Lowered, called: bool) -> Result<Program, Why> {
    let mut slots = Slots {
        given: vec![None; lowered.roots.len()],
        last: last_readers(&lowered, called),
        free: Default::default(),
        count: [0; CLASSES],
        room: HashMap::new(),
    };
    let class = |root: usize| lowered.roots.get(root).map_or(Class::Bytes, |r| r.class);
    let len = |root: usize| lowered.roots.get(root).map_or(0, |r| r.len);
    for input in &lowered.inputs {
        let state = lowered.roots.get(input.root).and_then(|r| r.state);
        let place = state.map_or_else(|| slots.fresh(class(input.root)), Place::State);
        slots.give(input.root, len(input.root), place);
    }
    let inputs: Vec<View> = lowered.inputs.iter().map(|v| slots.view(v)).collect::<Result<_, _>>()?;
    let mut steps = Vec::with_capacity(lowered.drafts.len());
    for (number, draft) in lowered.drafts.into_iter().enumerate() {
        let views = draft.draws.iter().map(|d| slots.draw(d)).collect::<Result<Vec<_>, _>>()?;
        let over = draft.over.iter().copied().find(|i| slots.overwritable(number, *i, &draft, &lowered.roots));
        let dying = slots.dying(number, &draft.draws);
        let mut outputs = Vec::new();
        for (k, root) in draft.outputs.iter().enumerate() {
            let place = match over.and_then(|i| views.get(i)) {
                Some(view) if k == 0 => view.place,
                _ => slots.fresh(class(*root)),
            };
            slots.give(*root, len(*root), place);
            outputs.push(Output { place, len: len(*root) });
        }
        for root in dying {
            let place = slots.given.get(root).copied().flatten();
            if over.is_none() || place != outputs.first().map(|o| o.place) {
                slots.release(root);
            }
        }
        for root in &draft.outputs {
            // What nobody reads gives its slot back at once.
            if slots.last.get(*root) == Some(&0) {
                slots.release(*root);
            }
        }
        let chooses = if let Some(Hint::Choice(k)) = draft.hint { Some(k) } else { None };
        let (title, operator, work) = (draft.title, draft.operator, draft.work);
        steps.push(Step { title, operator, views, outputs, over, chooses, work });
    }
    let room: usize = slots.room.values().sum();
    if room > ROOM {
        return Err(format!("{room} elements are needed at once"));
    }
    let outputs = lowered.outputs.iter().map(|v| slots.view(v)).collect::<Result<_, _>>()?;
    Ok(Program { steps, slots: slots.count, inputs, outputs, level: 0 })
}

/// One past the last step that reads each root; 0 when none does.
fn last_readers(lowered: &Lowered, called: bool) -> Vec<usize> {
    let mut last = vec![0; lowered.roots.len()];
    let mut read = |root: usize, step: usize| {
        if let Some(last) = last.get_mut(root) {
            *last = step;
        }
    };
    for (number, draft) in lowered.drafts.iter().enumerate() {
        for draw in &draft.draws {
            if let Draw::Root { root, .. } = draw {
                read(*root, number + 1);
            }
        }
    }
    let inputs = lowered.inputs.iter().filter(|_| called);
    lowered.outputs.iter().chain(inputs).for_each(|v| read(v.root, usize::MAX));
    last
}

impl Slots {
    fn fresh(&mut self, class: Class) -> Place {
        let free = self.free.get_mut(class as usize).and_then(Vec::pop);
        let index = free.unwrap_or_else(|| {
            let Some(count) = self.count.get_mut(class as usize) else { return 0 };
            *count += 1;
            *count - 1
        });
        Place::Slot(class, index)
    }

    fn give(&mut self, root: usize, len: usize, place: Place) {
        if let Place::Slot(class, index) = place {
            let room = self.room.entry((class, index)).or_default();
            *room = len.max(*room);
        }
        if let Some(given) = self.given.get_mut(root) {
            *given = Some(place);
        }
    }

    fn release(&mut self, root: usize) {
        if let Some(Some(Place::Slot(class, index))) = self.given.get(root)
            && let Some(free) = self.free.get_mut(*class as usize)
        {
            free.push(*index);
        }
    }

    fn view(&self, value: &Value) -> Result<View, Why> {
        self.draw(&Draw::Root { root: value.root, start: value.start, len: value.of.len() })
    }

    fn draw(&self, draw: &Draw) -> Result<View, Why> {
        match *draw {
            Draw::Constant { index, len } => Ok(View { place: Place::Constant(index), start: 0, len }),
            Draw::Root { root, start, len } => {
                let place = self.given.get(root).copied().flatten().ok_or("a value is read before it is computed")?;
                Ok(View { place, start, len })
            }
        }
    }

    /// Roots that step `number` reads as the last, each once.
    fn dying(&self, number: usize, draws: &[Draw]) -> Vec<usize> {
        let mut dying: Vec<usize> = Vec::new();
        for draw in draws {
            if let Draw::Root { root, .. } = draw
                && self.last.get(*root) == Some(&(number + 1))
                && !dying.contains(root)
            {
                dying.push(*root);
            }
        }
        dying
    }

    /// Whether output 0 of a step may lie over operand `i`: the operand is a whole root that nothing reads afterwards,
    /// nor anything else of the step now.
    fn overwritable(&self, number: usize, i: usize, draft: &Draft, roots: &[Root]) -> bool {
        let Some(Draw::Root { root, start: 0, len }) = draft.draws.get(i).copied() else { return false };
        let same = |draw: &&Draw| matches!(draw, Draw::Root { root: other, .. } if *other == root);
        let output = draft.outputs.first().and_then(|o| roots.get(*o));
        let of = roots.get(root);
        draft.draws.iter().filter(same).count() == 1
            && self.last.get(root) == Some(&(number + 1))
            && of.zip(output).is_some_and(|(of, out)| of.len == len && out.len == len && of.class == out.class)
    }
}

impl Program {
    /// Programs that this one calls.
    pub fn callees(&self) -> impl Iterator<Item = usize> {
        self.steps
            .iter()
            .filter_map(|step| match step.work {
                Doing::Branch { then, otherwise } => Some([then, otherwise]),
                Doing::Run(_) => None,
            })
            .flatten()
    }

    /// The input that output 0 is, untouched.
    pub fn passes(&self) -> Option<usize> {
        let first = self.outputs.first()?;
        self.inputs.iter().position(|input| input == first)
    }
}
