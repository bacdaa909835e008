package tui

import (
	tea "github.com/charmbracelet/bubbletea"
)

// wheelRows is how far a turn of the wheel goes.
const wheelRows = 3

// bodyTop is the line of the terminal at which the body begins.
const bodyTop = 2

// mouse scrolls by the wheel, and a click does what the thing under it stands for.
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

// click chooses a view, or closes help, or is the view's.
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
