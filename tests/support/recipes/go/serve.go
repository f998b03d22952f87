// A service with the recipe of docs/backends/go.md, on a free port that it prints.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	verifier := &Verifier{Issuer: os.Args[1], Audience: os.Args[2], KeysURL: os.Args[3]}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := Caller(r.Context())
		_ = json.NewEncoder(w).Encode(map[string]string{"sub": caller.Subject, "tenant": caller.Tenant, "scope": caller.Scope})
	})
	panic(http.Serve(listener, verifier.Middleware(handler)))
}
