package main

// The servers under load: see ../src/peers/service.rs for what each of them does, and how it
// begins and ends.

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

const (
	echoBuffer = 512
	sinkBuffer = 64 * 1024
)

// services by name; each takes a connection until it ends.
var services = map[string]func(net.Conn){
	"echo":     echo,
	"echo-hog": echo,
	"sink":     sink,
	"answer":   answer,
}

func serve(service, address string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if service == "echo-hog" {
		go computeForEver()
	}
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	fmt.Println("listening", listener.Addr())
	if service == "http" {
		http.HandleFunc("/plaintext", plaintext)
		return http.Serve(listener, nil)
	}
	connection, ok := services[service]
	if !ok {
		return fmt.Errorf("there is no service %s", service)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			connection(conn)
		}()
	}
}

// A connection that breaks ends its goroutine; the load knows about it.

func echo(conn net.Conn) {
	buffer := make([]byte, echoBuffer)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func sink(conn net.Conn) {
	buffer := make([]byte, sinkBuffer)
	var count uint64
	for {
		n, err := conn.Read(buffer)
		count += uint64(n)
		if err != nil {
			break
		}
	}
	conn.Write(binary.LittleEndian.AppendUint64(nil, count))
}

func answer(conn net.Conn) {
	buffer := make([]byte, 1)
	if _, err := conn.Read(buffer); err == nil {
		conn.Write(buffer)
	}
}

func plaintext(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "Hello, World!")
}

var hogged uint64

func computeForEver() {
	for {
		hogged++
	}
}
