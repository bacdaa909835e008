package tui

import (
	tea "github.com/charmbracelet/bubbletea"
)

// wheelRows is the number of rows for one turn of the wheel.
const wheelRows = 3

// bodyTop is the terminal's line at which the body starts.
const bodyTop = 2

// mouse handles the wheel and clicks.
func (m *model) mouse(e tea.MouseMsg) tea.Cmd {
	if e.Action != tea.MouseActionPress || m.prompt != nil {
		return nil
	}
	switch e.Button {
	case tea.MouseButtonWheelUp:
		return m.front().wheel(-wheelRows)
	case tea.MouseButtonWheelDown:
		return m.front().wheel(wheelRows)
	case tea.MouseButtonLeft:
		return m.click(e.X, e.Y)
	}
	return nil
}

// click selects a view by its tab, closes help, or goes to the view.
func (m *model) click(x, y int) tea.Cmd {
	line := y - bodyTop
	switch {
	case y == 1 && m.height >= 4:
		if s := m.tabAt(x); s != nil {
			return m.to(s)
		}
	case m.helping || line < 0 || line >= m.bodyHeight():
		m.helping = false
	default:
		return m.shown.click(x, line)
	}
	return nil
}
