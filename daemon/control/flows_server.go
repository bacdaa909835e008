package control

import "net/http"

func (s *Server) flows(w http.ResponseWriter, r *http.Request) {
	refuse(w, &Error{Code: CodeNotFound, Message: "flows"})
}
