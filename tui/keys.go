package tui

import (
	"slices"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// binding is a key with what it does, when it works, and what the bottom line calls it.
//
// The keys and their help text are bubbles' key.Binding. Its help model was tried and is not used: at 80 columns it
// already drops the last keys of the bottom line, which are help and quit, and a whole column of the long form. Ours
// keeps these two in any width, and scrolls.
type binding struct {
	key.Binding
	hint string // in the bottom line; "" = not there
	when func() bool
	do   func() tea.Cmd
}

// bind makes a key.Binding: name and help are for people, keys are as Bubble Tea spells them.
func bind(name, help string, keys ...string) key.Binding {
	return key.NewBinding(key.WithKeys(keys...), key.WithHelp(name, help))
}

func always() bool { return true }

// listKeys move through rows and lines.
func (m *model) listKeys() []binding {
	by := func(n int) func() tea.Cmd { return func() tea.Cmd { return m.front().move(n) } }
	pages := func(n int) func() tea.Cmd { return func() tea.Cmd { return m.front().move(n * m.front().page()) } }
	const end = 1 << 30
	return []binding{
		{bind("j ↓", "down", "j", "down"), "", always, by(1)},
		{bind("k ↑", "up", "k", "up"), "", always, by(-1)},
		{bind("Space PgDn", "a page down", "pgdown", " ", "ctrl+d"), "", always, pages(1)},
		{bind("PgUp", "a page up", "pgup", "ctrl+u"), "", always, pages(-1)},
		{bind("g", "to the top", "g", "home"), "", always, by(-end)},
		{bind("G", "to the bottom", "G", "end"), "", always, by(end)},
	}
}

// generalKeys work in every view.
func (m *model) generalKeys() []binding {
	views := len(m.screens)
	turn := func(n int) func() tea.Cmd {
		return func() tea.Cmd { return m.to(m.screens[(slices.Index(m.screens, m.shown)+n+views)%views]) }
	}
	list := []binding{
		{bind("1-"+itoa(views)+" Tab", "views", "tab"), "views", always, turn(1)},
		{bind("", "", "shift+tab"), "", always, turn(-1)},
		{bind("p", "pause: nothing moves", "p"), "pause", always, m.pause},
		{bind("n", "port names or numbers", "n"), "", always, m.toggleNames},
		{bind("u", "bytes, bits, exact", "u"), "", always, m.nextUnits},
		{bind(":", "commit, flush, resync, …", ":"), "command", func() bool { return m.write }, m.startCommand},
		{bind("?", "help", "?", "f1"), "help", always, m.openHelp},
		{bind("q", "quit", "q", "ctrl+c"), "quit", always, func() tea.Cmd { return tea.Quit }},
	}
	for i, s := range m.screens {
		list = append(list, binding{bind("", "", itoa(i+1)), "", always, func() tea.Cmd { return m.to(s) }})
	}
	return list
}

// key handles a key. Keys that arrive together, over a slow line or typed fast, come as one message.
func (m *model) key(k tea.KeyMsg) tea.Cmd {
	if k.Type != tea.KeyRunes || len(k.Runes) < 2 || k.Paste {
		return m.oneKey(k)
	}
	cmds := make([]tea.Cmd, len(k.Runes))
	for i, r := range k.Runes {
		one := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: k.Alt}
		if r == ' ' {
			one.Type = tea.KeySpace
		}
		cmds[i] = m.oneKey(one)
	}
	return tea.Batch(cmds...)
}

func (m *model) oneKey(k tea.KeyMsg) tea.Cmd {
	switch {
	case k.Type == tea.KeyCtrlC:
		return tea.Quit
	case m.prompt != nil:
		return m.promptKey(k)
	case k.Paste:
		return nil // a paste is text, not commands
	case m.helping && key.Matches(k, closeHelp):
		m.helping = false
		return nil
	}
	for _, list := range [][]binding{m.keys[m.shown], m.general} {
		for i := range list {
			if b := &list[i]; key.Matches(k, b.Binding) && b.when() {
				return b.do()
			}
		}
	}
	return nil
}

// hints draws the bottom line: the keys that matter here, as many as fit. Help and quit are always among them.
func (m *model) hints() string {
	var parts []string
	hint := func(name, what string) {
		parts = append(parts, m.look.in(accent, name)+m.look.in(faint, " "+what))
	}
	if m.helping {
		hint("j k Space", "scroll")
		hint("Esc", "close help")
		return " " + strings.Join(parts, "  ")
	}
	for _, list := range [][]binding{m.keys[m.shown], m.general} {
		for i := range list {
			if b := &list[i]; b.hint != "" && b.when() {
				name, _, _ := strings.Cut(b.Help().Key, " ")
				hint(name, b.hint)
			}
		}
	}
	for len(parts) > 2 && width(strings.Join(parts, "  "))+1 > m.width {
		parts = append(parts[:len(parts)-3], parts[len(parts)-2:]...)
	}
	return " " + strings.Join(parts, "  ")
}

// keyName spells a key for terminals without arrow characters.
func keyName(l look, name string) string {
	if !l.ascii {
		return name
	}
	ascii := strings.NewReplacer("↓", "", "↑", "", "→", "", "←", "", "…", "...")
	return strings.TrimSpace(ascii.Replace(name))
}

func (m *model) nextUnits() tea.Cmd {
	m.units = (m.units + 1) % unitKinds
	m.say("amounts are " + m.units.String())
	return nil
}
