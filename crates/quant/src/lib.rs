//! Schemes, recipes, plans and importance.
