"""A number to another process and back, by a pipe and by an object that lives there."""

from multiprocessing import Manager, Pipe, Process

from samples import of, p50_us

TRIPS = 5_000


def serve(connection, others):
    # A copy of the other end would keep the connection open.
    others.close()
    while True:
        try:
            number = connection.recv()
        except EOFError:
            return
        connection.send(number + 1)


def pipe_roundtrip_pipe(part):
    ours, theirs = Pipe()
    process = Process(target=serve, args=(theirs, ours))
    process.start()
    theirs.close()

    def trip(number):
        ours.send(number)
        if ours.recv() != number + 1:
            raise ValueError("another number came back")

    p50 = p50_us(of(TRIPS, part), trip)
    ours.close()
    process.join()
    return p50


def manager_dict_get_dict(part):
    with Manager() as manager:
        numbers = manager.dict({number: number for number in range(8)})

        def get(number):
            if numbers.get(number % 8) != number % 8:
                raise ValueError("another number stands there")

        return p50_us(of(TRIPS, part), get)


def manager_dict_set_dict(part):
    with Manager() as manager:
        numbers = manager.dict()

        def put(number):
            numbers[number % 8] = number % 8

        return p50_us(of(TRIPS, part), put)
