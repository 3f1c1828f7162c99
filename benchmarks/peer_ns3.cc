/* The lifecycle of a pair in ns-3: two nodes, a channel without delay, sockets of TcpL4Protocol.
 *
 * Simulated network, IPv4 and ARP included; no checksums, no data. The client closes first. TIME_WAIT is cut to
 * a millisecond, so that nothing but the listener is open when the next life begins. Argument: samples.
 * Prints CPU time per lifecycle in ns, a line per sample; a lifecycle that is not seven segments is an error.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"

using namespace ns3;

static const uint16_t PORT = 80;
static const int LIVES = 1000;
static uint64_t carried, opened, closed;

static void need(bool good, const char *what)
{
    if (!good) {
        std::fprintf(stderr, "ns-3: %s\n", what);
        std::exit(1);
    }
}

static void count(Ptr<const Packet>, Ptr<Ipv4>, uint32_t)
{
    carried++;
}

static void on_connected(Ptr<Socket> socket)
{
    opened++;
    socket->Close();
}

static void on_failed(Ptr<Socket>)
{
    need(false, "no connection");
}

static void on_end(Ptr<Socket> socket)
{
    closed++;
    socket->Close();
}

static void on_accept(Ptr<Socket> socket, const Address &)
{
    socket->SetCloseCallbacks(MakeCallback(&on_end), MakeNullCallback<void, Ptr<Socket>>());
}

static void live(Ptr<Node> node, Ipv4Address server)
{
    Ptr<Socket> socket = Socket::CreateSocket(node, TcpSocketFactory::GetTypeId());
    socket->SetConnectCallback(MakeCallback(&on_connected), MakeCallback(&on_failed));
    need(socket->Bind() == 0, "bind");
    need(socket->Connect(InetSocketAddress(server, PORT)) == 0, "connect");
}

int main(int argc, char **argv)
{
    int samples = argc > 1 ? std::atoi(argv[1]) : 5;
    Config::SetDefault("ns3::TcpSocketBase::MaxSegLifetime", DoubleValue(0.0005));

    NodeContainer nodes(2);
    SimpleNetDeviceHelper wire;
    NetDeviceContainer devices = wire.Install(nodes);
    InternetStackHelper stack;
    stack.Install(nodes);
    Ipv4AddressHelper addresses("10.0.0.0", "255.255.255.0");
    Ipv4InterfaceContainer ends = addresses.Assign(devices);
    for (uint32_t i = 0; i < 2; i++)
        need(nodes.Get(i)->GetObject<Ipv4L3Protocol>()->TraceConnectWithoutContext("Tx", MakeCallback(&count)),
             "no trace of packets");

    Ptr<Socket> listener = Socket::CreateSocket(nodes.Get(1), TcpSocketFactory::GetTypeId());
    need(listener->Bind(InetSocketAddress(Ipv4Address::GetAny(), PORT)) == 0, "bind");
    need(listener->Listen() == 0, "listen");
    listener->SetAcceptCallback(MakeNullCallback<bool, Ptr<Socket>, const Address &>(), MakeCallback(&on_accept));

    for (int sample = 0; sample <= samples; sample++) {
        timespec began, ended;
        carried = opened = closed = 0;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
        for (int i = 0; i < LIVES; i++)
            Simulator::Schedule(MilliSeconds(1 + 2 * i), &live, nodes.Get(0), ends.GetAddress(1));
        Simulator::Run();
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
        need(opened == LIVES && closed == LIVES, "not every connection was opened and closed");
        if (sample == 0) /* this one warms up, and waits for ARP */
            continue;
        need(carried == 7u * LIVES, "a life is not seven segments");
        std::printf("%.1f\n", ((ended.tv_sec - began.tv_sec) * 1e9 + ended.tv_nsec - began.tv_nsec) / LIVES);
    }
    Simulator::Destroy();
    return 0;
}
