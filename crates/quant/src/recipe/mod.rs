//! Which scheme each tensor gets: llama.cpp's presets, overridden by role.

mod file;
mod mixture;
mod presets;

pub use mixture::Choice;
pub use presets::Preset;

use crate::{QuantError, schemes};
use lfmq_core::{ModelSpec, SchemeId, TensorId, TensorRole};

/// A preset with overrides by role.
#[derive(Clone, Debug)]
pub struct Recipe {
    name: String,
    preset: &'static Preset,
    reason: Option<String>,
    overrides: Vec<Override>,
}

/// One role on one scheme, whatever the preset says.
#[derive(Clone, Debug)]
struct Override {
    role: &'static str,
    scheme: SchemeId,
    /// Asked for on the command line: a model without the role is a mistake then.
    typed: bool,
}

impl Recipe {
    /// The recipe of a preset (`Q4_K_M`, in any case) or of a built-in recipe file.
    ///
    /// # Errors
    /// An unknown name; the message lists what there is.
    pub fn named(name: &str) -> Result<Self, QuantError> {
        if let Some(preset) = Preset::find(name) {
            return Ok(Self::of(preset));
        }
        if let Some((_, text)) = file::BUILT_IN.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            return Self::from_toml(text);
        }
        Err(QuantError::UnknownRecipe { found: name.to_owned(), allowed: Self::names().collect::<Vec<_>>().join(" ") })
    }

    /// The recipe of `--bits N`: 2 3 4 5 6 8.
    ///
    /// # Errors
    /// Any other number.
    pub fn bits(bits: u8) -> Result<Self, QuantError> {
        let name = match bits {
            2 => "Q2_K",
            3 => "Q3_K_M",
            4 => "Q4_K_M",
            5 => "Q5_K_M",
            6 => "Q6_K",
            8 => "Q8_0",
            found => return Err(QuantError::UnknownBits { found }),
        };
        Self::named(name)
    }

    /// Reads a recipe file: `name`, `base` (a preset), `reason` and a table `[set]` of role = scheme.
    ///
    /// # Errors
    /// Malformed TOML, unknown fields, roles, schemes or presets.
    pub fn from_toml(text: &str) -> Result<Self, QuantError> {
        file::read(text)
    }

    fn of(preset: &'static Preset) -> Self {
        Self { name: preset.name.to_owned(), preset, reason: None, overrides: Vec::new() }
    }

    /// Adds an override as typed: `role=scheme`. The last one for a role counts.
    ///
    /// # Errors
    /// An unknown role or scheme; the message lists the allowed words.
    pub fn set(&mut self, text: &str) -> Result<(), QuantError> {
        let (role, scheme) = text.split_once('=').ok_or_else(|| QuantError::Override { found: text.to_owned() })?;
        self.put(role.trim(), scheme.trim(), true)
    }

    fn put(&mut self, role: &str, scheme: &str, typed: bool) -> Result<(), QuantError> {
        let unknown_role =
            || QuantError::UnknownRole { found: role.to_owned(), allowed: TensorRole::QUANTIZABLE.join(" ") };
        let unknown_scheme = || QuantError::UnknownScheme {
            found: scheme.to_owned(),
            allowed: schemes::ALL.map(|s| s.id().0).join(" "),
        };
        let role = *TensorRole::QUANTIZABLE.iter().find(|r| **r == role).ok_or_else(unknown_role)?;
        let scheme = crate::scheme(scheme).ok_or_else(unknown_scheme)?.id();
        self.overrides.retain(|o| o.role != role);
        self.overrides.push(Override { role, scheme, typed });
        Ok(())
    }

    /// Its name: the preset's, e.g. `Q4_K_M`, or that of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The preset under the overrides; file formats that name one mean this.
    #[must_use]
    pub fn preset(&self) -> &'static Preset {
        self.preset
    }

    /// Why it is as it is, if its file says.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The overrides as `(role, scheme)`.
    pub fn overrides(&self) -> impl Iterator<Item = (&'static str, SchemeId)> + '_ {
        self.overrides.iter().map(|o| (o.role, o.scheme))
    }

    /// The names [`Self::named`] knows: presets, then built-in files.
    pub fn names() -> impl Iterator<Item = &'static str> {
        presets::ALL.iter().map(|p| p.name).chain(file::BUILT_IN.iter().map(|(name, _)| *name))
    }

    /// What it chooses for tensor `id` with rows of `cols` weights; `None` for a tensor that stays in f32. Experts
    /// of one stack get the same. `importance`: whether importance weights are in use.
    ///
    /// # Errors
    /// Rows that a scheme asked for by role cannot hold.
    pub fn choose(
        &self,
        spec: &ModelSpec,
        id: TensorId,
        cols: usize,
        importance: bool,
    ) -> Result<Option<Choice>, QuantError> {
        if !id.role.quantizable() {
            return Ok(None);
        }
        let Some(set) = self.overrides.iter().find(|o| o.role == id.role.word()) else {
            return Ok(Some(mixture::choose(self.preset, spec, id, cols, importance)));
        };
        let block = crate::scheme(set.scheme.0).map_or(1, |s| s.grid().block());
        if !cols.is_multiple_of(block) {
            return Err(QuantError::Row { scheme: set.scheme.0, cols, block });
        }
        let by = if set.typed { "asked for" } else { &self.name };
        Ok(Some(Choice { scheme: set.scheme, reason: format!("{} set: {by}", set.role) }))
    }

    /// Refuses an override typed for a role that the model does not have.
    pub(crate) fn check_roles(&self, has: impl Fn(&str) -> bool) -> Result<(), QuantError> {
        match self.overrides.iter().find(|o| o.typed && !has(o.role)) {
            Some(o) => Err(QuantError::AbsentRole { role: o.role.to_owned() }),
            None => Ok(()),
        }
    }

    /// Whether `id` on `scheme` must have importance weights.
    pub(crate) fn needs_importance(&self, id: TensorId, scheme: SchemeId) -> bool {
        let head = matches!(id.role, TensorRole::Embedding | TensorRole::Head);
        self.preset.name == "Q2_K_S" && scheme.0 == "q2_k" && !head
    }
}
