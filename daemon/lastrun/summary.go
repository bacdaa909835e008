package lastrun

import (
	"path/filepath"
	"regexp"
	"strings"
)

// maxSummary bounds what a panic may say, in bytes.
const maxSummary = 300

// module begins the names of the functions of this program.
const module = "ctsync/"

// frame is a function of this program in a stack, and the place in it.
var frame = regexp.MustCompile(`(?m)^(` + module + `\S+|main\.\S+)\(.*\)\n\t(\S+:\d+)`)

// summary makes one line of what Go's runtime says when a program ends: what it was, and for a panic the first place
// in this program. The runtime writes the message, a blank line, and then the goroutine that panicked before others.
func summary(said string) string {
	at := strings.Index("\n"+said, "\ngoroutine ")
	if at < 0 {
		at = len(said)
	}
	said, stack := said[:at], said[at:]
	var words []string
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "PC=") || strings.HasPrefix(line, "[signal ") {
			break
		}
		words = append(words, strings.Fields(line)...)
	}
	text := strings.Join(words, " ")
	if text == "" { // the runtime writes the words of some fatal errors to stderr alone, such as "concurrent map writes"
		text = "fatal error of Go's runtime"
	}
	if len(text) > maxSummary {
		text = strings.ToValidUTF8(text[:maxSummary], "") + "…"
	}
	stack, _, _ = strings.Cut(stack, "\n\n")
	if m := frame.FindStringSubmatch(stack); m != nil && !strings.HasPrefix(said, "SIG") {
		text += ", at " + filepath.Base(filepath.Dir(m[2])) + "/" + filepath.Base(m[2])
	}
	return text
}
