package fakemodel

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// control serves what tests in other languages need: to set scripts, and to see
// what was asked.
//
//	PUT  /control/script?model=NAME              a Script
//	GET  /control/requests?model=NAME            the requests so far
//	GET  /control/await?model=NAME&state=left    waits for the last request to be in that state
//	GET  /control/illegal                        why requests were refused as illegal
func (s *Server) control(mux *http.ServeMux) {
	mux.HandleFunc("PUT /control/script", func(w http.ResponseWriter, r *http.Request) {
		var script Script
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&script); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Play(r.FormValue("model"), script)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /control/requests", func(w http.ResponseWriter, r *http.Request) {
		list := s.Requests(r.FormValue("model"))
		if list == nil {
			list = []Request{}
		}
		writeJSON(w, http.StatusOK, list)
	})
	mux.HandleFunc("GET /control/await", func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.Atoi(r.FormValue("seconds"))
		if err != nil {
			seconds = 20
		}
		if !s.AwaitState(r.FormValue("model"), r.FormValue("state"), time.Duration(seconds)*time.Second) {
			http.Error(w, "the request did not get there in time", http.StatusGatewayTimeout)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /control/illegal", func(w http.ResponseWriter, _ *http.Request) {
		list := s.Illegal()
		if list == nil {
			list = []string{}
		}
		writeJSON(w, http.StatusOK, list)
	})
}
