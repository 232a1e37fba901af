package io.github.opensearchmultimodal.service;

import java.io.IOException;
import java.net.http.HttpResponse.BodySubscriber;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow.Subscription;

/** Collects the bytes of an answer, and gives up when there are more than allowed, for it alone or for all together. */
final class LimitedBody implements BodySubscriber<byte[]> {
    /** Says that an answer was larger than allowed. */
    static final class TooLarge extends IOException {
        private static final long serialVersionUID = 1L;

        private TooLarge(long limit) {
            super(
                "its answer has more than " + limit + " bytes, the limit of [multimodal.service.max_response_size] and of"
                    + " [multimodal.service.max_bytes_in_flight]"
            );
        }
    }

    /** Says that there was no room for an answer beside what is under way. */
    static final class NoRoom extends IOException {
        private static final long serialVersionUID = 1L;

        private NoRoom() {
            super("no room for its answer beside the calls under way");
        }
    }

    private final CompletableFuture<byte[]> body = new CompletableFuture<>();
    private final List<byte[]> collected = new ArrayList<>();
    private final ByteBudget.Share share;
    private final long limit;
    private long size;
    private Subscription subscription;

    LimitedBody(long limit, ByteBudget.Share share) {
        this.limit = limit;
        this.share = share;
    }

    @Override
    public CompletionStage<byte[]> getBody() {
        return body;
    }

    @Override
    public void onSubscribe(Subscription subscription) {
        this.subscription = subscription;
        subscription.request(Long.MAX_VALUE);
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        if (body.isDone()) {
            return;
        }
        for (ByteBuffer buffer : buffers) {
            size += buffer.remaining();
            if (size > limit) {
                giveUp(new TooLarge(limit));
                return;
            }
            if (share.tryTake(buffer.remaining()) == false) {
                giveUp(new NoRoom());
                return;
            }
            byte[] bytes = new byte[buffer.remaining()];
            buffer.get(bytes);
            collected.add(bytes);
        }
    }

    private void giveUp(IOException why) {
        subscription.cancel();
        collected.clear();
        body.completeExceptionally(why);
    }

    @Override
    public void onError(Throwable error) {
        collected.clear();
        body.completeExceptionally(error);
    }

    @Override
    public void onComplete() {
        byte[] all = new byte[(int) size];
        int at = 0;
        for (byte[] bytes : collected) {
            System.arraycopy(bytes, 0, all, at, bytes.length);
            at += bytes.length;
        }
        collected.clear();
        body.complete(all);
    }
}
