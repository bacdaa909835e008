package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"ctsync/daemon/expr"
)

// startFilter lets the user edit the filter. Esc restores the present one.
func (t *table) startFilter() tea.Cmd {
	before := t.filterText
	restore := func() tea.Cmd {
		if t.filterText == before {
			return nil
		}
		return t.filterBy(before)
	}
	t.openPrompt("/", before, prompt{
		advice: t.filterAdvice, typed: t.filterTyped, tab: t.completeFilter, enter: t.filterEntered, escape: restore,
	})
	t.prompt.Validate = func(text string) error {
		_, err := expr.Parse(text)
		return err
	}
	return nil
}

// filterTyped applies a filter while it is typed, as soon as it parses. A table that is not live waits for Enter,
// because the daemon walks all of it for each filter.
func (t *table) filterTyped() tea.Cmd {
	text := strings.TrimSpace(t.prompt.Value())
	if t.prompt.Err != nil || text == t.filterText || !t.from().live {
		return nil
	}
	return t.filterBy(text)
}

func (t *table) filterEntered(text string) tea.Cmd {
	if t.prompt.Err != nil {
		return nil // the error is on the screen
	}
	t.prompt = nil
	if text == t.filterText {
		return nil
	}
	return t.filterBy(text)
}

// filterBy applies a filter. If the text does not parse, it complains and changes nothing.
func (t *table) filterBy(text string) tea.Cmd {
	var filter *expr.Expr
	if text != "" {
		var err error
		if filter, err = expr.Parse(text); err != nil {
			t.complain(err.Error())
			return nil
		}
	}
	t.filter, t.filterText = filter, text
	return t.again()
}

func (t *table) filterAdvice() string {
	advice := keyAdvice(t.prompt.before())
	if !t.from().live {
		advice = "Enter reads the table " + t.look.sign(signDot) + " " + advice
	}
	return t.look.in(faint, advice)
}

// completeFilter completes the key before the cursor as far as it is unambiguous.
func (t *table) completeFilter() {
	before := t.prompt.before()
	rest := strings.TrimPrefix(t.prompt.Value(), before)
	if done := completed(before); done != before {
		t.prompt.SetValue(done + rest)
		t.prompt.SetCursor(len([]rune(done)))
	}
}

// lastWord returns the word at the end of a filter that is being typed, and where it starts.
func lastWord(text string) (word string, from int) {
	from = strings.LastIndexAny(text, " (!") + 1
	return text[from:], from
}

// keyAdvice explains the key at the end of a filter that is being typed, or lists the keys that start like it.
func keyAdvice(text string) string {
	word, _ := lastWord(text)
	name := strings.ToLower(strings.TrimRight(word, ":=<>"))
	if at := strings.IndexAny(word, ":=!<>"); at >= 0 {
		name = strings.ToLower(word[:at])
	}
	var fit []string
	for _, k := range expr.Keys() {
		if name != "" && (name == k.Name || name == k.Other) {
			return k.Name + ": " + k.Doc + ", for example " + k.Example
		}
		if strings.HasPrefix(k.Name, name) {
			fit = append(fit, k.Name)
		}
	}
	if len(fit) == 0 {
		return "text that a row contains"
	}
	return strings.Join(fit, " ")
}

// completed completes the key at the end of a filter that is being typed.
func completed(text string) string {
	word, from := lastWord(text)
	common := ""
	for _, k := range expr.Keys() {
		if !strings.HasPrefix(k.Name, strings.ToLower(word)) {
			continue
		}
		if common == "" {
			common = k.Name + ":"
			continue
		}
		n := 0
		for n < len(common) && n < len(k.Name) && common[n] == k.Name[n] {
			n++
		}
		common = common[:n]
	}
	if word == "" || len(common) <= len(word) {
		return text
	}
	return text[:from] + common
}

// help lists the keys of filters.
func (t *table) help() []string {
	const syntax = "  terms with and, or, not, ( ); != < <= > >= and ranges; Tab completes"
	lines := []string{" " + t.look.in(title, "Filter") + t.look.in(faint, syntax)}
	for _, k := range expr.Keys() {
		lines = append(lines, "   "+t.look.in(accent, t.look.pad(k.Example, 30, false))+" "+k.Doc)
	}
	return lines
}
