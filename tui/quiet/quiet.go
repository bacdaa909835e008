// Package quiet keeps a terminal from being asked for the colour of its background: whoever imports Bubble Tea asks, in
// its init, although nothing here depends on the answer. A serial console gives none, and every command would wait for it
// for five seconds.
//
// Packages are initialised in the order of their paths as far as their imports allow: this one, which needs no more than
// Lip Gloss, before github.com/charmbracelet/bubbletea.
package quiet

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
