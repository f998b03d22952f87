// A service with the recipe of docs/backends/java.md, on a free port that it prints.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.Executors;
import org.jose4j.json.JsonUtil;
import org.jose4j.jwt.JwtClaims;

public final class Serve {
    public static void main(String[] arguments) throws Exception {
        Identity identity = new Identity(arguments[0], arguments[1], arguments[2]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            byte[] answer;
            int status = 200;
            try {
                List<String> fields = exchange.getRequestHeaders().getOrDefault("Yett-identity", List.of());
                if (fields.size() != 1) throw new SecurityException("no assertion, or more than one");
                var uri = exchange.getRequestURI();
                JwtClaims claims = identity.verify(fields.get(0), exchange.getRequestMethod(), uri.getRawPath(), uri.getRawQuery());
                var said = new java.util.LinkedHashMap<String, Object>();
                for (String name : List.of("sub", "tenant", "scope")) said.put(name, claims.getStringClaimValue(name));
                answer = JsonUtil.toJson(said).getBytes();
            } catch (Exception refused) {
                status = 401;
                answer = "refused".getBytes();
            }
            exchange.sendResponseHeaders(status, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
        System.out.println(server.getAddress().getPort());
    }
}
