// Package quiet keeps Bubble Tea from asking the terminal for its background colour. Bubble Tea does so in its init,
// and nothing here uses the answer. A serial console does not answer, so that every command would wait five seconds.
//
// Go initialises packages in the order of their paths as far as imports allow. This one imports only Lip Gloss, and so
// comes before github.com/charmbracelet/bubbletea.
package quiet

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
