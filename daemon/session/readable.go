package session

func Readable(d []byte) bool { return len(d) > 0 }
