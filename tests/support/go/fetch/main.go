// Fetches a URL with Go's own client, with the fields of the header that its arguments say, and prints the status.
//
//	fetch URL [NAME VALUE]...
package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	request, err := http.NewRequest("GET", os.Args[1], nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for at := 2; at+1 < len(os.Args); at += 2 {
		request.Header.Set(os.Args[at], os.Args[at+1])
	}
	answer, err := client.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	answer.Body.Close()
	fmt.Println(answer.StatusCode)
}
