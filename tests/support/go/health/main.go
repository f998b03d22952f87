// A gRPC server with the standard health service, for tests: prints its port, then takes `SERVICE STATUS` line by line.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	state := health.NewServer()
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, state)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			service, status, _ := strings.Cut(lines.Text(), " ")
			value := grpc_health_v1.HealthCheckResponse_ServingStatus_value[status]
			state.SetServingStatus(service, grpc_health_v1.HealthCheckResponse_ServingStatus(value))
			fmt.Println("set")
		}
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
