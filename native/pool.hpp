// The trainer's threads. Networks wait in a queue and are trained whole, each by one thread, so a result does not
// depend on the number of threads or on the company. A thread takes one network, or many tiny ones of one kind.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "engine.hpp"

namespace schuss {

class Pool {
 public:
  struct Result {
    long key;
    Outcome outcome;
  };

  Pool(Data data, int threads, const Engine &engine) : data_(std::move(data)), engine_(engine), steps_(threads) {
    try {
      for (int i = 0; i < threads; i++) workers_.emplace_back([this, i] { work(steps_[i].count); });
    } catch (...) {  // the system refused a thread; those that run must end before they are destroyed
      close();
      throw;
    }
  }
  ~Pool() { close(); }
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  const Data &data() const { return data_; }

  void submit(std::vector<std::pair<long, Plan>> plans) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (auto &[key, plan] : plans)
        queue_.push_back({key, generation_.load(), std::make_shared<const Plan>(std::move(plan))});
      pending_ += static_cast<long>(plans.size());
    }
    job_ready_.notify_all();
  }

  // Everything finished since the last call; waits for something until the timeout.
  std::vector<Result> poll(double timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    result_ready_.wait_for(lock, std::chrono::duration<double>(timeout),
                           [this] { return !results_.empty() || pending_ == 0; });
    pending_ -= static_cast<long>(results_.size());
    return std::exchange(results_, {});
  }

  // Running networks stop at their next step and still report; waiting ones are dropped. Later ones run as usual.
  void cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    generation_++;
    pending_ -= static_cast<long>(queue_.size());
    queue_.clear();
  }

  long pending() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return pending_;
  }
  long steps() const {
    long sum = 0;
    for (const Counter &counter : steps_) sum += counter.count.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct alignas(128) Counter {  // a cache line each
    std::atomic<long> count{0};
  };

  void close() {
    cancel();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closing_ = true;
    }
    job_ready_.notify_all();
    for (std::thread &worker : workers_) worker.join();
  }

  void work(std::atomic<long> &steps) {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      job_ready_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (closing_) return;
      busy_++;
      if (queue_.front().plan->tiny()) {
        const std::shared_ptr<const Plan> kind = queue_.front().plan;
        lock.unlock();
        Lanes(*this, *kind, steps).train();
        lock.lock();
      } else {
        const Job job = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        Outcome outcome = train(job, steps);
        lock.lock();
        report(job.key, std::move(outcome));
      }
      busy_--;
    }
  }
  void report(long key, Outcome outcome) {  // with the mutex held
    results_.push_back({key, std::move(outcome)});
    result_ready_.notify_all();
  }

  // An exception must not end the process: memory for one network may be lacking while others fit.
  Outcome train(const Job &job, std::atomic<long> &steps) const {
    Control control{generation_, job.generation, steps};
    try {
      return engine_.train(*job.plan, data_, control);
    } catch (const std::exception &error) {
      return failed(error);
    }
  }
  static Outcome failed(const std::exception &error) {
    Outcome outcome;
    outcome.status = "failed";
    outcome.message = error.what();
    return outcome;
  }

  // The tiny networks that one thread trains together.
  class Lanes final : public Group {
   public:
    Lanes(Pool &pool, const Plan &kind, std::atomic<long> &steps) : pool_(pool), kind_(kind), steps_(steps) {}

    void train() {
      try {
        pool_.engine_.train_together(kind_, pool_.data_, *this);
      } catch (const std::exception &error) {
        const std::lock_guard<std::mutex> lock(pool_.mutex_);
        for (long key : keys_) pool_.report(key, failed(error));
      }
    }

    // No more than this thread's share of what waits, as others may have nothing to do.
    std::vector<Job> join(int room) override {
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      std::deque<Job> &queue = pool_.queue_;
      const std::size_t hands = pool_.steps_.size() - pool_.busy_ + 1, share = (queue.size() + hands - 1) / hands;
      std::vector<Job> joined;
      for (auto job = queue.begin(); job != queue.end() && joined.size() < std::min<std::size_t>(room, share);) {
        if (!job->plan->same_kind(kind_)) {
          ++job;
          continue;
        }
        keys_.insert(job->key);
        joined.push_back(std::move(*job));
        job = queue.erase(job);
      }
      return joined;
    }
    Control control(const Job &job) override { return {pool_.generation_, job.generation, steps_}; }
    void leave(const Job &job, Outcome outcome) override {
      const std::lock_guard<std::mutex> lock(pool_.mutex_);
      pool_.report(job.key, std::move(outcome));
      keys_.erase(keys_.find(job.key));
    }

   private:
    Pool &pool_;
    const Plan &kind_;
    std::atomic<long> &steps_;
    std::multiset<long> keys_;  // of those that have not left
  };

  const Data data_;
  const Engine &engine_;
  std::mutex mutex_;
  std::condition_variable job_ready_, result_ready_;
  std::deque<Job> queue_;
  std::vector<Result> results_;
  long pending_ = 0;
  int busy_ = 0;  // threads that are training
  bool closing_ = false;
  std::atomic<long> generation_{0};
  std::vector<Counter> steps_;
  std::vector<std::thread> workers_;
};

}  // namespace schuss
