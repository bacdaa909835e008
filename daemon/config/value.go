package config

import (
	"fmt"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"
)

// String says in a message what a node is: "the string \"x\"", "the integer 5", "a list".
func (n *node) String() string {
	switch n.kind {
	case unstable.String:
		return "the string " + quote(n.text)
	case unstable.Integer:
		return "the integer " + n.text
	case unstable.Float:
		return "the number " + n.text
	case unstable.Bool:
		return n.text
	case unstable.Array:
		return "a list"
	case unstable.Table:
		return "a table"
	}
	return "the date or time " + n.text
}

// quote quotes a text for a message, and cuts it if it is too long.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		return strconv.Quote(strings.ToValidUTF8(text[:most], "")) + "..."
	}
	return strconv.Quote(text)
}

// wants notes that n has the wrong type.
func (p *parser) wants(n *node, what string) {
	p.problem(n.valueAt, "%s wants %s, not %s", n.key, what, n)
}

func (p *parser) boolean(n *node, dst *bool) {
	if n.kind != unstable.Bool {
		p.wants(n, "true or false")
		return
	}
	*dst = n.text == "true"
}

func (p *parser) integer(n *node, dst *int, least, most int) {
	p.number(n, dst, least, most, "")
}

// megabytes reads an integer number of MB and stores bytes.
func (p *parser) megabytes(n *node, dst *int, most int) {
	var mb int
	if p.number(n, &mb, 1, most, " MB") {
		*dst = mb << 20
	}
}

func (p *parser) number(n *node, dst *int, least, most int, unit string) bool {
	if n.kind != unstable.Integer {
		p.wants(n, fmt.Sprintf("an integer from %d to %d%s", least, most, unit))
		return false
	}
	v, err := strconv.ParseInt(n.text, 0, 64) // base 0 reads what TOML writes: 0x, 0o, 0b and underscores
	if err != nil || v < int64(least) || v > int64(most) {
		p.problem(n.valueAt, "%s = %s is out of range: %d to %d%s", n.key, n.text, least, most, unit)
		return false
	}
	*dst = int(v)
	return true
}

func (p *parser) duration(n *node, dst *time.Duration, least, most time.Duration) {
	if n.kind != unstable.String {
		p.wants(n, `a time with its unit in quotes, such as "500ms" or "60s"`)
		return
	}
	v, err := time.ParseDuration(n.text)
	if err != nil {
		p.problem(n.valueAt,
			`%s = %s is not a time: write a number with its unit (ms, s, m, h), such as "500ms" or "60s"`, n.key,
			quote(n.text))
		return
	}
	if v < least || v > most {
		p.problem(n.valueAt, "%s = %s is out of range: %v to %v", n.key, quote(n.text), least, most)
		return
	}
	*dst = v
}

func (p *parser) purgeTimeout(n *node) {
	var seconds int
	if p.number(n, &seconds, 1, 24*60*60, " seconds") {
		p.cfg.PurgeTimeout = time.Duration(seconds) * time.Second
	}
}

// str reads a string. what says what it must be.
func (p *parser) str(n *node, what string) (string, bool) {
	if n.kind != unstable.String {
		p.wants(n, what)
		return "", false
	}
	return n.text, true
}

// list returns the elements of a list. example is an element that it could have.
func (p *parser) list(n *node, example string) ([]*node, bool) {
	if n.kind == unstable.Array {
		return n.items, true
	}
	if n.kind == unstable.String {
		example = n.text
	}
	p.problem(n.valueAt, "%s wants a list: write %s = [%s]", n.key, n.key, quote(example))
	return nil, false
}

// path reads an absolute path.
func (p *parser) path(n *node, dst *string) {
	text, ok := p.str(n, "an absolute path in quotes")
	switch {
	case !ok:
	case !filepath.IsAbs(text):
		p.problem(n.valueAt, "%s = %s is not an absolute path", n.key, quote(text))
	case strings.ContainsFunc(text, unicode.IsControl):
		p.problem(n.valueAt, "%s = %s contains a control character", n.key, quote(text))
	default:
		*dst = filepath.Clean(text)
	}
}

// maxSocketPath is the size of sun_path in struct sockaddr_un, less its NUL.
const maxSocketPath = 107

func (p *parser) socket(n *node) {
	var path string
	p.path(n, &path)
	switch {
	case path == "":
	case path == "/" || strings.HasSuffix(n.text, "/"):
		p.problem(n.valueAt, "socket = %s is a directory", quote(n.text))
	case len(path) > maxSocketPath:
		p.problem(n.valueAt, "socket = %s has %d bytes, at most %d are allowed for a socket", quote(path), len(path),
			maxSocketPath)
	default:
		p.cfg.Socket = path
	}
}

// maxGID is the highest group id. The one above it means "unchanged" to chown(2).
const maxGID = 1<<32 - 2

// group reads a group of this system by name or number.
func (p *parser) group(n *node, dst *int) {
	if n.kind == unstable.Integer {
		p.integer(n, dst, 0, maxGID)
		return
	}
	name, ok := p.str(n, "the name or number of a group")
	if !ok {
		return
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		p.problem(n.valueAt, "%s = %s: this system has no such group", n.key, quote(name))
		return
	}
	gid, err := strconv.ParseUint(group.Gid, 10, 32)
	if err != nil || gid > maxGID {
		p.problem(n.valueAt, "%s = %s: its group id %q is not a number", n.key, quote(name), group.Gid)
		return
	}
	*dst = int(gid)
}

// followed reads the name of what makes the role, a block of keepalived.conf.
func (p *parser) followed(n *node, dst *string, block string) {
	name, ok := p.str(n, "the name of a "+block+" of keepalived.conf in quotes")
	switch {
	case !ok:
	case strings.TrimSpace(name) == "":
		p.problem(n.valueAt, "%s is empty: it names the %s of keepalived.conf", n.key, block)
	case len(name) > 255 || strings.ContainsFunc(name, func(c rune) bool { return unicode.IsControl(c) || c == '"' }):
		p.problem(n.valueAt, "%s = %s is not a valid name of a %s", n.key, quote(name), block)
	default:
		*dst = name
	}
}

// mode accepts the one protocol that this version supports.
func (p *parser) mode(n *node) {
	mode, ok := p.str(n, `"ftfw"`)
	switch {
	case !ok || mode == "ftfw":
	case mode == "alarm" || mode == "notrack":
		p.problem(n.valueAt, `mode = %q is not supported yet: this version supports only "ftfw"`, mode)
	default:
		p.problem(n.valueAt, `mode = %s is not a mode: this version supports only "ftfw"`, quote(mode))
	}
}
